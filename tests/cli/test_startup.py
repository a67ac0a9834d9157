"""What starting costs: no framework is imported before it is needed."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import modelstac

HEAVY = "{'torch', 'keras', 'tensorflow', 'jax', 'onnx', 'onnxruntime', 'h5py', 'xarray', 'matplotlib', 'pyproj'}"
CALL = """
import modelstac.cli
try:
    modelstac.cli.main({})
except SystemExit as end:
    assert not end.code
"""
Command = Callable[..., subprocess.CompletedProcess[str]]


def imported_by(code: str, kinds: str = HEAVY) -> str:
    source = Path(modelstac.__file__).parents[1]
    code = f"import sys\nsys.path.insert(0, {str(source)!r})\n{code}\nprint(sorted({kinds} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()[-1]


def test_import_loads_no_framework() -> None:
    assert imported_by("import modelstac") == "[]"


def test_the_check_itself_sees_what_is_imported() -> None:
    assert imported_by("import modelstac.registry.runtimes.onnx") == "['onnxruntime']"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["predict", "--help"], ["train", "--help"]])
def test_help_loads_no_framework_and_no_catalog(arguments: list[str]) -> None:
    assert imported_by(CALL.format(arguments)) == "[]"


def test_search_loads_no_framework(catalog: Path) -> None:
    arguments = ["search", "-c", str(catalog)]
    assert imported_by(CALL.format(arguments)) == "[]"


def test_version_is_that_of_the_package(fresh_command: Command) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert fresh_command("--version").stdout == f"modelstac {project['version']}\n"


def test_public_names_are_sorted_and_complete() -> None:
    public = {name for name in vars(modelstac) if not name.startswith("_")}
    rooms = {
        "catalog",
        "cli",
        "exporters",
        "job",
        "jobs",
        "matrix",
        "pipeline",
        "registry",
        "training",
        "report",
        "overview",
        "demo",
    }
    assert modelstac.__all__ == sorted(modelstac.__all__)
    assert public - rooms == set(modelstac.__all__) - {"__version__"}
