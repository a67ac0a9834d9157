"""Models that begin, move with their alias and end: what clients see meanwhile, and what a server refuses to begin."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.catalog.server import postgres
from tests.catalog.server.conftest import Server, cluster, run, serving
from tests.registry.serving.conftest import MakeItem, infer, predicting, ready, tensor, times

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import AmbiguousError
from modelstac.registry.serving.models import Models
from modelstac.registry.serving.served import Served
from modelstac.registry.serving.settings import InferenceSettings

__all__ = ["cluster"]
X = np.array([[1.0, 2.0]], np.float32)
TWO, THREE = "times-2.0.0-onnx", "times-3.0.0-onnx"


@pytest.fixture
def models(tmp_path: Path, make_item: MakeItem) -> Catalog:
    found = open_catalog(str(tmp_path / "models.sqlite"), create=True)
    for factor in (2, 3):
        found.publish(times(tmp_path, make_item, factor))
    found.set_alias("times", "champion", TWO)
    return found


def version(server: Server, name: str = "times@champion") -> str:
    answer = infer(server, name, tensor("x", X))
    assert answer.ok, answer.text
    found = answer.json()
    assert found["outputs"][0]["data"] == [float(found["model_version"][0]) * value for value in (1, 2)]
    return str(found["model_version"])


def until(true: Callable[[], bool], server: Server) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, server.log.read_text()[-2000:]
        time.sleep(0.02)


def test_an_alias_that_moves_takes_its_clients_along_and_none_fails(tmp_path: Path, models: Catalog) -> None:
    with predicting(tmp_path, models, "times@champion", "times") as server:
        assert version(server) == "2.0.0"
        assert version(server, "times") == "3.0.0"  # the newest version
        stop, seen = threading.Event(), list[str]()

        def ask() -> None:
            while not stop.is_set():
                seen.append(version(server))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        for target in (THREE, TWO, THREE):
            models.set_alias("times", "champion", target)
            until(lambda wanted=target[6:11]: bool(seen) and seen[-1] == wanted, server)
        stop.set()
        for thread in asking:
            thread.join()
        assert seen[0] == "2.0.0"
        assert seen[-1] == "3.0.0"
        assert not [line for line in server.lines() if line["level"] in {"warning", "error"}]


def test_a_body_that_comes_slowly_is_answered_by_what_its_alias_means_then(tmp_path: Path, models: Catalog) -> None:
    body = json.dumps({"inputs": [tensor("x", X)]}).encode()
    with (
        predicting(tmp_path, models, "times@champion") as server,
        contextlib.closing(http.client.HTTPConnection(server.href.removeprefix("http://"), timeout=30)) as connection,
    ):
        connection.putrequest("POST", "/v2/models/times@champion/infer")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:20])
        models.set_alias("times", "champion", THREE)
        until(lambda: version(server) == "3.0.0", server)
        time.sleep(0.2)  # what answered before is let go
        connection.send(body[20:])
        answer = connection.getresponse()
        found = json.loads(answer.read())
    assert answer.status == 200, found
    assert found["model_version"] == "3.0.0"
    assert found["outputs"][0]["data"] == [3.0, 6.0]


def test_what_two_names_mean_is_loaded_once_and_let_go_with_the_last(tmp_path: Path, models: Catalog) -> None:
    async def live() -> None:
        served = Models(["times@champion", TWO, "times"], lambda: models, InferenceSettings(refresh_seconds=0.05))
        await served.load_all()
        champion, two, newest = served.slots
        assert champion.served is two.served is not newest.served
        models.set_alias("times", "champion", THREE)
        following = asyncio.create_task(served.follow())
        while champion.served is two.served:
            await asyncio.sleep(0.01)
        assert champion.served is newest.served
        assert two.served is not None
        found = await two.served.batcher.run({"x": X}, asyncio.Event().wait)
        assert found["y"].tolist() == [[2.0, 4.0]]
        following.cancel()
        await served.close()

    asyncio.run(asyncio.wait_for(live(), 30))


def test_one_id_in_two_collections_is_no_name_of_either(tmp_path: Path, make_item: MakeItem) -> None:
    settings = InferenceSettings()
    models = Models([f"{name}/{TWO}" for name in ("first", "second")], open_catalog, settings)
    for slot in models.slots:
        model = modelstac.load(times(tmp_path, make_item, 2))
        model.item.collection_id = slot.reference.partition("/")[0]
        slot.served = Served(model, settings, together=False)
    with pytest.raises(AmbiguousError, match=f"'{TWO}' is first/{TWO}, second/{TWO} here"):
        models.find(TWO)
    assert models.find(f"second/{TWO}") is models.slots[1].served


def test_what_cannot_be_loaded_later_leaves_the_one_before(
    tmp_path: Path, models: Catalog, make_item: MakeItem
) -> None:
    item = models.publish(times(tmp_path, make_item, 4))
    file = Path(item.assets["model"].get_absolute_href() or "")
    whole = file.read_bytes()
    file.write_bytes(whole[::-1])
    with predicting(tmp_path, models, "times@champion") as server:
        models.set_alias("times", "champion", item.id)
        warned = lambda: [line["message"] for line in server.lines() if line["level"] == "warning"]  # noqa: E731
        until(lambda: bool(warned()), server)
        assert version(server) == "2.0.0"
        time.sleep(0.5)
        (message,) = warned()  # said once
        assert message.startswith(f"times@champion: {TWO} goes on to answer, as ")
        assert "is not the published file" in message
        file.write_bytes(whole)
        until(lambda: version(server) == "4.0.0", server)


def test_an_item_that_was_deleted_and_made_anew_answers_as_the_new_one(
    tmp_path: Path, models: Catalog, make_item: MakeItem
) -> None:
    with predicting(tmp_path, models, "times@champion", THREE) as server:
        assert (version(server), version(server, THREE)) == ("2.0.0", "3.0.0")
        for factor, number in ((5, TWO), (6, THREE)):  # by an alias, and by the id
            anew = times(tmp_path / "anew", make_item, factor)
            anew.id = number
            anew.properties["version"] = f"{number[6]}.0.0"
            models.set_alias("times", "champion", None)
            models.delete(number)
            models.publish(anew)
            models.set_alias("times", "champion", TWO)
            name = "times@champion" if number == TWO else THREE
            asked = lambda name=name: infer(server, name, tensor("x", X)).json()["outputs"][0]["data"]  # noqa: E731
            until(lambda factor=factor, asked=asked: asked() == [1.0 * factor, 2.0 * factor], server)


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["time"], [], "no item or model 'time'"),
        (["times@best"], [], "best"),
        (["times@champion"], ["--trust", "pickle"], "--trust holds for items that are named by their id"),
        ([TWO], ["--trust", "everything"], "trust='everything' is not understood"),
        ([], ["--trust", "pickle"], "is for the models of --predict"),
    ],
)
def test_a_server_that_cannot_serve_what_it_was_told_ends(
    tmp_path: Path, models: Catalog, names: list[str], options: list[str], words: str
) -> None:
    asked = [word for name in names for word in ("--predict", name)]
    done = run("serve", "--port", "0", "--catalog", models.href, *asked, *options)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert words in last
    assert "Traceback" not in done.stderr


def test_a_pickle_is_not_opened_because_it_is_served(tmp_path: Path, models: Catalog, make_item: MakeItem) -> None:
    import torch

    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    item = make_item(path, "torch-export", name="pickled")
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    item.make_asset_hrefs_absolute()
    models.add(item, report=lambda _: None)
    done = run("serve", "--port", "0", "--catalog", models.href, "--predict", item.id)
    assert done.returncode == 2
    assert "pickle" in done.stderr.strip().splitlines()[-1]


def test_a_setting_without_sense_is_named(models: Catalog) -> None:
    arguments = ("serve", "--port", "0", "--catalog", models.href, "--predict", TWO)
    done = run(*arguments, MODELSTAC_PREDICT_WORKERS="0")
    assert done.returncode != 0
    assert "MODELSTAC_PREDICT_WORKERS" in done.stderr.strip().splitlines()[-1]


def test_who_may_run_models_and_with_how_much_memory(tmp_path: Path, models: Catalog) -> None:
    limits = {"MODELSTAC_PREDICT_ACCESS": "keys", "MODELSTAC_PREDICT_MAX_MEMORY": "20000"}
    with predicting(tmp_path, models, TWO, **limits) as server:
        refused = infer(server, TWO, tensor("x", X))
        assert (refused.status_code, list(refused.json())) == (401, ["error"])
        allowed = {"Authorization": f"Bearer {server.key}"}
        body = {"inputs": [tensor("x", X)]}
        assert server.request("POST", f"v2/models/{TWO}/infer", json=body, headers=allowed).ok
        body = {"inputs": [tensor("x", np.ones((500, 2)))]}
        answer = server.request("POST", f"v2/models/{TWO}/infer", json=body, headers=allowed)
        assert answer.status_code == 413
        assert "send fewer samples" in answer.json()["error"]
        assert server.get(f"v2/models/{TWO}").ok


def test_models_over_postgresql_are_read_where_the_server_keeps_them(
    tmp_path: Path, make_item: MakeItem, cluster: postgres.Cluster
) -> None:
    """Nothing is downloaded: the file of a model is opened in the folder of the artifacts."""
    place = ("--artifacts", str(tmp_path / "files"))
    with cluster.database() as url:
        with serving(tmp_path, *place, MODELSTAC_DATABASE=url) as server:
            catalog = ApiCatalog(server.href, key=server.key)
            for factor in (2, 3):
                catalog.publish(times(tmp_path, make_item, factor))
            catalog.set_alias("times", "champion", TWO)
        variables = {"MODELSTAC_DATABASE": url, "MODELSTAC_CACHE": str(tmp_path / "cache")}
        variables["MODELSTAC_PREDICT_REFRESH_SECONDS"] = "0.1"
        (tmp_path / "again").mkdir()
        with serving(tmp_path / "again", *place, "--predict", "times@champion", **variables) as server:
            ready(server)
            assert version(server) == "2.0.0"
            ApiCatalog(server.href, key=server.key).set_alias("times", "champion", THREE)
            until(lambda: version(server) == "3.0.0", server)
    assert not list((tmp_path / "cache").rglob("*.onnx"))
