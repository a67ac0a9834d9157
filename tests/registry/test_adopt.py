"""Somebody else's item in a catalog of ours: valid, found, verified, and it says where it came from."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pystac
import pytest
from click.testing import CliRunner
from tests.registry.foreign_items import item, weights
from tests.registry.statements import graph
from tests.registry.test_foreign import asset, doubling, write

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import AmbiguousError, IntegrityError, InvalidItemError, SpecError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.catalog.items.validation import validate
from modelstac.cli import main
from modelstac.registry.describing.adopt import Said, adopt
from modelstac.registry.files.cache import Cache

IMAGES = np.ones((2, 3, 8, 8), np.float32)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_LOCK", str(tmp_path / "modelstac.lock"))


def theirs(folder: Path, **properties: object) -> str:
    """An item with an ONNX file of no checksum beside it, said to be of PyTorch."""
    folder.mkdir(exist_ok=True)
    doubling(folder / "net.onnx")
    given = {"mlm_framework": "pytorch", "mlm_framework_version": "2.1.2+cu121", "keywords": ["s2"]} | properties
    return write(folder, item("Their model (v2)", "1.3.0", {"net": asset("./net.onnx")}, **given))


def test_adopted_items_are_ours_found_and_run(tmp_path: Path) -> None:
    theirs(tmp_path)
    with serving(tmp_path) as url:
        options = ["--version", "2.0.0", "--license", "MIT", "--catalog", str(tmp_path / "ours"), "--json"]
        done = CliRunner().invoke(main, ["adopt", f"{url}/item.json?signature=secret", *options])
        assert done.exit_code == 0, done.output
    made = pystac.Item.from_dict(json.loads(done.stdout))
    validate(made)
    assert made.id == "Their-model-v2-2.0.0-onnx"
    (link,) = made.get_links("derived_from")
    assert link.get_href(transform_href=False) == f"{url}/item.json"
    catalog = modelstac.open(tmp_path / "ours")
    (found,) = catalog.search(framework="ONNX", task="segmentation", text="s2")
    assert catalog.search(framework="PyTorch") == []
    assert found.assets["model"].extra_fields["file:checksum"] == multihash(sha256(tmp_path / "net.onnx"))
    assert found.properties["mlm:framework_version"] != "2.1.2+cu121"  # which is PyTorch's
    model = modelstac.load(found.id, catalog=catalog)  # the server is gone: the file is ours
    np.testing.assert_array_equal(model.predict(IMAGES), 2 * IMAGES)


def test_by_reference_the_file_stays_and_may_not_change(tmp_path: Path) -> None:
    theirs(tmp_path / "web", version="1.0")
    ours = open_catalog(tmp_path / "ours", create=True)
    with pytest.raises(SpecError, match="a file of this machine"):
        adopt(str(tmp_path / "web" / "item.json"), ours, by_reference=True)
    with serving(tmp_path / "web") as url:
        made = adopt(f"{url}/item.json", ours, by_reference=True)
        assert made.assets["model"].href == f"{url}/net.onnx"
        np.testing.assert_array_equal(modelstac.load(made.id, catalog=ours).predict(IMAGES), 2 * IMAGES)
        doubling(tmp_path / "web" / "net.onnx", 3.0)
        Cache().prune(0)
        with pytest.raises(IntegrityError, match="not the published file"):
            modelstac.load(made.id, catalog=ours)


def test_an_item_of_the_web_takes_no_file_of_this_machine(tmp_path: Path) -> None:
    doubling(tmp_path / "net.onnx")
    (tmp_path / "web").mkdir()
    write(tmp_path / "web", item("theirs", "1.5.0", {"net": asset((tmp_path / "net.onnx").as_uri())}))
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "web", "description": "Theirs"}
    links = [{"rel": "item", "href": "./item.json"}]
    (tmp_path / "web" / "catalog.json").write_text(json.dumps(root | {"links": links}))
    ours = open_catalog(tmp_path / "ours", create=True)
    with serving(tmp_path / "web") as url:
        for what, source in ((f"{url}/item.json", None), ("theirs", f"{url}/catalog.json")):
            with pytest.raises((InvalidItemError, UntrustedError), match="a file of this machine"):
                adopt(what, ours, source=source, said=Said(version="1.0.0"))
    assert list(ours.ids()) == []


def test_what_nobody_says_is_asked_for_at_once(tmp_path: Path) -> None:
    ours = open_catalog(tmp_path / "ours", create=True)
    with pytest.raises(SpecError, match=r"give --version, --task \(such as semantic-segmentation\)$"):
        adopt(theirs(tmp_path, mlm_tasks=["guessing"]), ours)
    made = adopt(theirs(tmp_path, mlm_tasks=["guessing"]), ours, said=Said(version="1.0.0", tasks=("regression",)))
    with pytest.raises(SpecError, match="modelstac sync"):
        adopt(made, ours)
    assert list(ours.ids()) == [made.id]


def test_what_runs_code_is_not_adopted(tmp_path: Path) -> None:
    ours = open_catalog(tmp_path / "ours", create=True)
    doubling(tmp_path / "net.onnx")
    several = {name: asset("./net.onnx") for name in ("small", "large")}
    with pytest.raises(UntrustedError, match=r"holds torch\.save"):
        adopt(write(tmp_path, item("pickled", "1.5.0", {"model": weights()})), ours, said=Said(version="1.0.0"))
    with pytest.raises(AmbiguousError, match="small, large"):
        adopt(write(tmp_path, item("several", "1.5.0", several)), ours, said=Said(version="1.0.0"))
    said = Said(version="1.0.0", asset="large")
    assert adopt(write(tmp_path, item("several", "1.5.0", several)), ours, said=said).id == "several-1.0.0-onnx"


def test_a_file_that_draws_random_numbers_is_not_adopted(tmp_path: Path) -> None:
    where = theirs(tmp_path)
    grid = ["n", 3, 8, 8]
    nodes = [("RandomNormalLike", ["x"], ["noise"], {"name": "draw"}), ("Add", ["x", "noise"], ["y"])]
    graph(tmp_path / "net.onnx", nodes, [("x", grid)], [("y", grid)])
    ours = open_catalog(tmp_path / "ours", create=True)
    with pytest.raises(InvalidItemError, match="RandomNormalLike in the node 'draw' draws random numbers"):
        adopt(where, ours, said=Said(version="2.0.0", license="MIT"))
    assert not list(ours.items())
