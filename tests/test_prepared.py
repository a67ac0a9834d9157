"""Programs that are forked off a process that has imported Keras are programs like others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import no_network, prepared

import modelstac

ENVIRONMENT = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(modelstac.__file__).parents[1])}
SAYS = """
import json, os, sys
import numpy as np
there, main = "keras" in sys.modules, sys.modules["__main__"]
import keras
said = [keras.config.backend(), there, main.__dict__ is globals(), __name__, sys.argv[1:], os.getcwd()]
print(json.dumps([*said, os.environ.get("MODELSTAC_TEST"), sys.stdin.read(), float(np.random.random())]))
print("aside", file=sys.stderr)
"""


def run(*arguments: object, network: bool = True, timeout: int = 60, folder: Path | None = None, **more: str):
    return prepared.run(arguments, environment=ENVIRONMENT | more, network=network, timeout=timeout, folder=folder)


def test_a_program_has_its_own_arguments_variables_folder_output_and_chance(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import beside\n" + SAYS)
    (tmp_path / "beside.py").write_text("")
    found = set()
    for arguments in (["-c", SAYS, 1, "two"], [program, 1, "two"]):
        done = run(*arguments, folder=tmp_path, MODELSTAC_TEST="here")
        assert done.returncode == 0
        assert done.stderr.endswith("aside\n")
        *said, chance = json.loads(done.stdout)
        assert said == ["torch", True, True, "__main__", ["1", "two"], str(tmp_path), "here", ""]
        found.add(chance)
    assert len(found) == 2
    assert json.loads(run("-c", SAYS).stdout)[6] is None


@pytest.mark.parametrize(
    ("code", "returned", "said"),
    [("sys.exit(3)", 3, ""), ("sys.exit('no')", 1, "no\n"), ("1 / 0", 1, "ZeroDivisionError"), ("os.abort()", -6, "")],
)
def test_it_ends_as_a_program_does(code, returned, said):
    done = run("-c", f"import atexit, os, sys; atexit.register(print, 'the end'); {code}")
    assert done.returncode == returned
    assert said in done.stderr
    assert done.stdout == ("" if returned < 0 else "the end\n")


def test_one_that_takes_too_long_is_ended():
    assert run("-c", "import time; time.sleep(60)", timeout=1).returncode < 0


def test_one_without_a_network_is_seen_to_ask_for_it():
    asks = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    assert no_network.MARK in run("-c", asks, network=False, PYTHONHASHSEED="1").stderr
    assert no_network.MARK not in run("-c", asks).stderr


def test_other_variables_are_another_process():
    says = ["-c", "print(hash('a'))"]
    variables = ENVIRONMENT | {"PYTHONHASHSEED": "1"}
    alone = subprocess.run([sys.executable, *says], env=variables, capture_output=True, text=True, check=True)
    assert run(*says, network=False, PYTHONHASHSEED="1").stdout == alone.stdout != run(*says).stdout
