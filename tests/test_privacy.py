"""Nothing calls home: no framework opens an internet socket when models are published, converted, loaded or run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import no_network, private_program

import modelstac
from modelstac.registry import telemetry
from modelstac.registry.runtimes import RUNTIMES

LOOK_UP = "import socket\ntry:\n    socket.getaddrinfo('localhost.example', 80)\nexcept OSError:\n    print('no')\n"


def run(program: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program from which the network is kept, with none of our switches set by what runs it."""
    environment = {name: value for name, value in os.environ.items() if name not in telemetry.VARIABLES}
    environment |= {"PYTHONPATH": str(Path(modelstac.__file__).parent.parent), "TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    command = [sys.executable, no_network.__file__, str(program), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_a_look_up_would_be_seen(tmp_path):
    (tmp_path / "look_up.py").write_text(LOOK_UP, encoding="utf-8")
    done = run(tmp_path / "look_up.py")
    assert done.stdout == "no\n"
    assert no_network.MARK in done.stderr


def test_no_runtime_and_no_exporter_opens_a_socket(tmp_path):
    cache = tmp_path / "cache"
    done = run(Path(private_program.__file__), tmp_path / "catalog", HOME=str(tmp_path), XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    assert no_network.MARK not in done.stderr, done.stderr
    ran = set(done.stdout.splitlines()[-1].split())
    # Weights alone are for our own architectures; PyTorch runs as a program here.
    assert ran == {entry.module.rsplit(".", 1)[1] for entry in RUNTIMES.values()} - {"torch"}
    # ONNX Runtime would keep a device id and events there, to send them later.
    assert {path.name for path in cache.iterdir()} <= {"modelstac", "matplotlib"}


@pytest.mark.parametrize("name", telemetry.VARIABLES)
def test_what_somebody_has_set_stays(name, monkeypatch):
    monkeypatch.setenv(name, "0")
    telemetry.opt_out()
    assert os.environ[name] == "0"
    assert telemetry.said()[name] == "0"
