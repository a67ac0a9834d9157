"""A cache that may be read and not written, as one that an administrator filled for all: for a user without rights."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry.http_server import Server, serving
from tests.registry.test_cache import CONTENT, DIGEST, get, processes

from modelstac.catalog.errors import ModelStacError
from modelstac.registry.files.cache import Cache

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="modelstac-read-only-"))
    path.chmod(0o755)
    yield path
    for inner in (path, *path.rglob("*")):
        inner.chmod(0o755)
    shutil.rmtree(path)


def lock_up(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _load_unprivileged(root: Path, href: str, answers: object) -> None:
    for module in ("filelock", "obstore.store", "platformdirs"):  # its files may be those of root alone
        importlib.import_module(module)
    if os.geteuid() == 0:  # root writes whatever the modes say
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        (root / "probe").touch()
        answers.put("it could write")
    except PermissionError:
        try:
            answers.put(get(Cache(root), href) == CONTENT)
        except ModelStacError as error:
            answers.put(str(error))


def load(root: Path, href: str) -> object:
    answers = processes.Queue()
    worker = processes.Process(target=_load_unprivileged, args=(root, href, answers), daemon=True)
    worker.start()
    answer = answers.get(timeout=60)
    worker.join()
    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as found:
        yield found


def test_what_is_in_it_is_loaded_and_what_is_not_says_what_to_do(server: Server, folder: Path) -> None:
    full, empty = folder / "full", folder / "empty"
    assert get(Cache(full), f"{server.url}/ok/m") == CONTENT
    empty.mkdir()
    lock_up(full)
    lock_up(empty)
    asked = len(server.requests)
    assert load(full, f"{server.url}/ok/m") is True
    assert len(server.requests) == asked
    message = load(empty, f"{server.url}/ok/m")
    assert isinstance(message, str)
    assert str(empty) in message
    assert "asset 'model' of item 'toy-1.0.0-onnx'" in message
    assert "name another folder by MODELSTAC_CACHE" in message
    assert "\n" not in message


def test_a_local_file_needs_no_cache(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(CONTENT)
    lock_up(folder)
    assert load(folder, str(folder / "model.onnx")) is True


def test_a_poisoned_file_in_it_is_refused(server: Server, folder: Path) -> None:
    get(Cache(folder), f"{server.url}/ok/m")
    Cache(folder).path(DIGEST).write_bytes(CONTENT[:-1] + b"?")
    lock_up(folder)
    assert "is not the published file" in load(folder, f"{server.url}/ok/m")
