"""What was loaded once from a catalog on the web loads again without a network, and says so."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.catalog.server.conftest import serving
from tests.registry.test_others import IMAGES, identity, item, static

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import DownloadError, ModelStacError
from modelstac.catalog.messages import Note
from modelstac.cli import main
from modelstac.registry.describing.adopt import Said, adopt


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MODELSTAC_OFFLINE", raising=False)


@contextmanager
def static_web(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a static catalog as files."""
    static(folder / "others", {"models": {"plain.json": item("plain", properties={"version": "2.1.0"})}})

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder / "others"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/catalog.json", "plain"
        server.shutdown()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a catalog by ``modelstac serve``, with one adopted model and an alias."""
    identity(folder / "identity.onnx")
    (folder / "item.json").write_text(json.dumps(item("plain", properties={"version": "2.1.0"})))
    with serving(folder, "--catalog", str(folder / "served.sqlite")) as server:
        into = ApiCatalog(server.href, key=server.key)
        adopt(folder / "item.json", into, said=Said(framework_version="1.20.0"))
        into.set_alias("plain", "champion", "plain-2.1.0-onnx")
        yield server.href, "plain@champion"


@pytest.mark.parametrize("kind", ["static", "served"])
def test_what_was_predicted_once_is_predicted_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with (static_web if kind == "static" else served)(tmp_path) as (href, asked):
        np.save(tmp_path / "images.npy", IMAGES)
        arguments: list[Any] = ["predict", asked, str(tmp_path / "images.npy"), "--catalog", href]
        done = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "online.npy")])
        assert done.exit_code == 0, done.output
    notes: list[str] = []
    for offline in ("1", "0"):  # forbidden, and truly out of reach
        monkeypatch.setenv("MODELSTAC_OFFLINE", offline)
        result = tmp_path / f"offline-{offline}.npy"
        done = CliRunner().invoke(main, [*arguments, "-o", str(result)])
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(np.load(result), np.load(tmp_path / "online.npy"))
        assert "is used as it was on 20" in done.stderr
        model = modelstac.load(
            asked, catalog=href, report=lambda m: notes.append(m.text) if isinstance(m, Note) else None
        )
        np.testing.assert_array_equal(model.predict(IMAGES), IMAGES)
        assert CliRunner().invoke(main, ["show", asked, "--catalog", href]).exit_code == 0
    assert [note for note in notes if "version 2.1.0" in note][:1], notes
    with pytest.raises(ModelStacError) as caught:
        modelstac.load("another", catalog=href)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    with pytest.raises(
        DownloadError, match=r"another of http.* was not loaded here before, and MODELSTAC_OFFLINE forbids"
    ):
        modelstac.load("another", catalog=href)


def test_an_item_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with static_web(tmp_path) as (href, _):
        address = href.replace("catalog.json", "models/plain.json")
        np.testing.assert_array_equal(modelstac.load(address).predict(IMAGES), IMAGES)
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    np.testing.assert_array_equal(modelstac.load(address).predict(IMAGES), IMAGES)


def test_a_file_that_is_not_the_kept_items_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with static_web(tmp_path) as (href, asked):
        modelstac.load(asked, catalog=href)
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    for path in (tmp_path / "cache" / "sha256").glob("*/*"):
        if not path.suffix:
            path.chmod(0o600)
            path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ModelStacError, match="is not the published file"):
        modelstac.load(asked, catalog=href)


def test_local_catalogs_keep_nothing(tmp_path: Path) -> None:
    folder = static(tmp_path / "others", {"models": {"plain.json": item("plain")}})
    modelstac.load("plain", catalog=open_catalog(folder))
    assert not (tmp_path / "cache" / "items").exists()
