"""What a job publishes of its environment: installed versions, with hashes where uv finds them."""

from __future__ import annotations

import socket
from importlib.metadata import version

import pytest

from modelstac.catalog.items.formats import FORMATS
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Note
from modelstac.registry.isolated.pins import installed, with_requirements
from modelstac.registry.isolated.requirements import DEPENDENCIES, RUNTIMES, parse


@pytest.fixture
def description(make_item, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    return read_item(make_item(tmp_path / "model.onnx", "onnx"))


@pytest.mark.parametrize(
    ("form", "backend"), [("keras", "torch"), ("keras", "tensorflow"), *((form, None) for form in FORMATS)]
)
def test_every_format_is_pinned_and_read_again(form, backend):
    found = installed(form, backend)
    assert parse(str(found), source="x") == found
    assert not found.locked
    for pin in found.pins:
        assert version(pin.name).partition("+")[0] == pin.version
    names = {pin.name.removesuffix("-cpu") for pin in found.pins}
    assert "numpy" in names
    assert form != "keras" or {"keras", backend or "tensorflow"} <= names


def test_what_is_not_installed_pins_nothing(monkeypatch, description, tmp_path):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert installed("onnx") is None
    assert with_requirements(description, tmp_path) is description


def test_tensorflow_is_called_as_on_this_machine(monkeypatch):
    text = "# python 3.11\ntensorflow-cpu==2.19.1\n"
    for machine, name in (("x86_64", "tensorflow-cpu"), ("arm64", "tensorflow")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        monkeypatch.setattr("sys.platform", "linux")
        assert [pin.name for pin in parse(text, source="x").pins] == [name]
    locked = parse(text.strip() + " --hash=sha256:" + "0" * 64, source="x")  # a hash is of one file
    assert [pin.name for pin in locked.pins] == ["tensorflow-cpu"]


@pytest.mark.usefixtures("_package_index")
def test_a_lock_names_all_packages_with_hashes(description, tmp_path):
    found = with_requirements(description, tmp_path, lock=True).assets["requirements"]
    read = parse(found.path.read_text(), source="x")
    assert read.locked
    assert {pin.name for pin in read.pins} <= RUNTIMES | DEPENDENCIES
    assert {str(pin.name): pin.version for pin in read.pins}.items() >= {
        name: version(name) for name in ("numpy", "onnxruntime")
    }.items()
    assert len(read.pins) > 2


def test_without_an_index_a_lock_has_no_hashes_and_says_so(description, tmp_path, monkeypatch):
    said = []
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        found = with_requirements(description, tmp_path, lock=True, report=said.append).assets["requirements"]
    assert parse(found.path.read_text(), source="x") == installed("onnx")
    (note,) = said
    assert isinstance(note, Note)
    assert "published without hashes: locking the requirements of 'smooth-1.0.0-onnx'" in note.text
