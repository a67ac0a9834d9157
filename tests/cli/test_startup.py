"""What starting costs: no framework is imported before it is needed."""

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from tests.cli.conftest import environment

import modelstac
from modelstac.catalog.testing import Examples
from modelstac.cli import main

HEAVY = "{'torch', 'keras', 'tensorflow', 'jax', 'onnx', 'onnxruntime', 'h5py', 'xarray', 'matplotlib', 'pyproj'}"
UNNEEDED = (
    "{'pydantic', 'pydantic_core', 'pystac', 'urllib3', 'requests', 'httpx', 'jsonschema', 'shapely', 'cql2', "
    "'obstore', 'numpy', 'rich', 'yaml'}"
)
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


@pytest.mark.parametrize("name", ["models.sqlite", "models"])
def test_search_in_a_file_or_folder_loads_no_client_and_no_validator(name: str, tmp_path: Path) -> None:
    made = modelstac.open(tmp_path / name, create=True)
    made.publish(Examples(tmp_path / "files").item())
    made.search()  # which makes the index of a folder
    assert imported_by(CALL.format(["search", "-c", made.href]), UNNEEDED) == "[]"


def test_publishing_without_running_loads_nothing_that_searches_or_runs(tmp_path: Path) -> None:
    from tests.registry.statements import graph

    path = graph(tmp_path / "net.onnx", [("Relu", ["x"], ["y"], {})], [("x", [1, 3])], [("y", [1, 3])])
    said = ["--name", "relu", "--task", "regression", "--architecture", "MLP", "--license", "MIT", "--bbox", "0,0,1,1"]
    dims = ["--datetime", "2020", "--input-dims", "batch,bands", "--bands", "a,b,c", "--output-dims", "batch,value"]
    publish = ["publish", str(path), "-c", str(tmp_path / "new.sqlite"), *said, *dims, "--unproved"]
    unneeded = "{'modelstac.catalog.search.query', 'modelstac.registry.inspecting.torch_export', 'jsonschema', 'numpy'}"
    assert imported_by(CALL.format(publish), f"({HEAVY} | {unneeded})") == "[]"


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])  # PyTorch's compiler looks for pandas, to leave it alone
def test_publishing_imports_keras_without_what_nothing_here_uses(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelstac.registry.runtimes.backends import BESIDE

    monkeypatch.setenv("KERAS_BACKEND", backend)
    (path,) = (Path(__file__).parents[1] / "registry" / "earlier").rglob("*.keras")
    call = CALL.replace("not end.code", "end.code == 2").format(["publish", str(path), "-c", str(tmp_path / "new")])
    code = f"{call}assert 'keras' in sys.modules and not {set(BESIDE)} & sys.modules.keys()\nimport pandas"
    assert imported_by(code, "{'pandas'}") == "['pandas']"  # for all others it is there


def test_a_command_has_no_plugins_unless_asked_and_seldom_searches_for_cycles() -> None:
    run = "import gc, os, modelstac.__main__ as m\ntry:\n    m.run()\nexcept SystemExit:\n    "
    said = "print(*gc.get_threshold(), gc.get_freeze_count() > 0, repr(os.environ['PYDANTIC_DISABLE_PLUGINS']))"
    for given, kept in ({}, "1"), ({"PYDANTIC_DISABLE_PLUGINS": ""}, ""):
        command = [sys.executable, "-c", run + said, "--version"]
        done = subprocess.run(command, env=environment(**given), capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == f"50000 20 50 True {kept!r}"


def test_version_is_that_of_the_package(fresh_command: Command) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert fresh_command("--version").stdout == f"modelstac {project['version']}\n"


def test_public_names_are_sorted_and_each_is_there() -> None:
    assert modelstac.__all__ == sorted(modelstac.__all__)
    assert dir(modelstac) == modelstac.__all__
    assert all(hasattr(modelstac, name) for name in modelstac.__all__)


def test_what_is_imported_later_is_public() -> None:
    for package in (modelstac.catalog, modelstac.registry):
        assert all(callable(getattr(package, name)) for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'publsh'"):
        modelstac.publsh  # noqa: B018


def test_the_list_of_commands_is_whole_and_short() -> None:
    """What it says of each is kept beside the place of each, so that no command is imported to list it."""
    from modelstac.cli import main
    from modelstac.cli.common.later import Commands

    assert isinstance(main.commands, Commands)
    assert {name: command.name for name, command in main.commands.items()} == {name: name for name in main.commands}
    assert all(0 < len(text) <= 66 and not text.endswith(".") for _, text in main.commands.said())
    commands = "{'modelstac.cli.finding.search', 'modelstac.cli.running.predict', 'pydantic', 'pystac'}"
    assert imported_by(CALL.format(["--help"]), commands) == "[]"


def every_command() -> list[tuple[str, click.Command]]:
    from modelstac.cli import main

    found: list[tuple[str, click.Command]] = []
    left = list(main.commands.items())
    while left:
        name, command = left.pop()
        found.append((name, command))
        if isinstance(command, click.Group):
            left += [(f"{name} {below}", one) for below, one in command.commands.items()]
    return found


def test_no_command_has_an_option_twice() -> None:
    """Click warns of it on every call, and only the last of the two has the values."""
    for name, command in every_command():
        options = [option for p in command.params for option in (*p.opts, *p.secondary_opts)]
        assert len(options) == len(set(options)), name


def test_the_lists_of_commands_below_a_command_are_not_cut_off() -> None:
    for name, group in every_command():
        if isinstance(group, click.Group):
            room = 72 - max(map(len, group.commands))  # of 80 columns, as click counts them
            cut = [n for n, c in group.commands.items() if c.get_short_help_str(room).endswith("...")]
            assert not cut, name


def test_import_loads_neither_catalog_nor_registry() -> None:
    assert imported_by("import modelstac", "{'modelstac.catalog.base', 'modelstac.registry.loading', 'pystac'}") == "[]"


def test_no_command_takes_an_option_twice() -> None:
    def commands(group: click.Group, context: click.Context) -> Iterator[click.Command]:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield command
            if isinstance(command, click.Group):
                yield from commands(command, context)

    for command in commands(main, click.Context(main)):
        names = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
        assert len(names) == len(set(names)), f"{command.name}: {sorted(names)}"
