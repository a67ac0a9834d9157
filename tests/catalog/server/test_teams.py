"""Teams: sub-catalogs, keys that write one of them only, and the audit log, over each store."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pystac_client
import pytest
import requests
from tests.catalog.server.conftest import Server, run

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.errors import ForbiddenError, UnauthorizedError
from modelstac.catalog.journal import Asked
from modelstac.catalog.server.teams import hierarchy
from modelstac.catalog.server.teams.session import SqliteSession, run_now
from modelstac.catalog.testing import Examples

TORCH = "rain-1.0.0-torch"


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return Examples(tmp_path / "made")


@pytest.fixture
def teams(server: Server) -> Server:
    """Give an empty server with the catalogs of two teams."""
    for catalog in server.get("catalogs?limit=100").json()["catalogs"]:
        assert server.request("DELETE", f"catalogs/{catalog['id']}", key=True).status_code == 204
    for name in ("hydro", "land"):
        made = server.request("POST", "catalogs", key=True, json=catalog_of(name))
        assert made.status_code == 201, made.text
    return server


def catalog_of(name: str) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": name,
        "title": name.title(),
        "description": f"Models of {name}.",
        "links": [{"rel": "child", "href": "https://example.org/not-ours"}],
    }


def key_of(server: Server, team: str) -> str:
    """Return a key that writes one team's models only."""
    keys = server.log.parent / "keys.json"
    name = f"{team}-{len(json.loads(keys.read_text()))}"
    made = run("keys", "--keys", keys, "add", name, "--team", team)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def sent(server: Server, key: str, method: str, path: str, **options: Any) -> requests.Response:
    return server.request(method, path, headers={"Authorization": f"Bearer {key}"}, **options)


def test_a_team_writes_its_own_models_and_no_others(teams: Server, examples: Examples) -> None:
    hydro, land = (ApiCatalog(teams.href, key=key_of(teams, team)) for team in ("hydro", "land"))
    everyone = ApiCatalog(teams.href, key=teams.key)
    hydro.publish(examples.item(name="rain"))
    everyone.publish(examples.item(name="shared"))
    land.publish_many([examples.item(name="cover"), examples.item(name="cover", version="1.1.0")])
    hydro.publish_many([examples.item(name="rain", version="1.1.0"), examples.item(name="flood")])
    for refused in (
        lambda: land.publish(examples.item(name="rain", version="2.0.0")),
        lambda: land.publish(examples.item(name="shared", version="2.0.0")),
        lambda: land.publish_many([examples.item(name="crops"), examples.item(name="rain", version="2.0.0")]),
        lambda: land.set_alias("rain", "champion", TORCH),
        lambda: land.deprecate(TORCH),
        lambda: land.delete(TORCH),
        lambda: land.add_verified(TORCH, [{"python": "3.11", "packages": {"torch": "2.15.0"}}]),
    ):
        with pytest.raises(ForbiddenError, match="catalog 'land' only"):
            refused()
    # Nothing of it happened.
    assert sorted(everyone.ids()) == sorted(
        [TORCH, "shared-1.0.0-torch", "cover-1.0.0-torch", "cover-1.1.0-torch", "rain-1.1.0-torch", "flood-1.0.0-torch"]
    )
    assert everyone.aliases("rain") == {}
    hydro.set_alias("rain", "champion", TORCH)
    everyone.set_alias("rain", "champion", "rain-1.1.0-torch")
    hydro.set_alias("rain", "champion", None)
    hydro.delete("rain-1.1.0-torch")
    for path, body in (("collections/rain", None), (f"collections/rain/items/{TORCH}", {"properties": {}})):
        method = "DELETE" if body is None else "PATCH"
        assert sent(teams, key_of(teams, "land"), method, path, json=body).status_code == 403
    assert [c["id"] for c in teams.get("catalogs/hydro/collections").json()["collections"]] == ["flood", "rain"]
    assert [c["id"] for c in teams.get("catalogs/land/collections").json()["collections"]] == ["cover"]


def test_to_link_a_model_gives_no_right_to_write_it(teams: Server, examples: Examples) -> None:
    ApiCatalog(teams.href, key=key_of(teams, "hydro")).publish(examples.item(name="rain"))
    land = key_of(teams, "land")
    assert sent(teams, land, "POST", "catalogs/land/collections", json={"id": "rain"}).status_code == 200
    assert sent(teams, land, "POST", "catalogs/land/catalogs", json={"id": "hydro"}).status_code == 200
    assert sent(teams, land, "PATCH", "collections/rain", json={"title": "Ours"}).status_code == 403
    assert sent(teams, land, "PUT", "catalogs/hydro", json=catalog_of("hydro")).status_code == 403
    assert sent(teams, land, "DELETE", "catalogs/hydro/collections/rain").status_code == 403
    assert sent(teams, land, "POST", "catalogs", json=catalog_of("more")).status_code == 403
    assert sent(teams, land, "DELETE", "catalogs/land").status_code == 403
    found = teams.get("catalogs/land/collections/rain").json()
    links = {link["rel"]: link["href"] for link in found["links"]}
    assert links["self"] == f"{teams.href}/catalogs/land/collections/rain"
    assert links["parent"] == f"{teams.href}/catalogs/land"
    assert links["canonical"] == f"{teams.href}/collections/rain"
    assert teams.get(links["items"].removeprefix(f"{teams.href}/")).json()["numberReturned"] == 1
    # A catalog below another is that team's: what it owns is theirs, too.
    assert sent(teams, land, "POST", "catalogs/land/catalogs", json=catalog_of("forest")).status_code == 201
    made = teams.get("collections/rain").json() | {"id": "trees", "interop:aliases": {}}
    answer = sent(teams, land, "POST", "catalogs/forest/collections", json=made)
    assert answer.status_code == 201, answer.text
    assert sent(teams, land, "PATCH", "collections/trees", json={"title": "Trees"}).status_code == 200
    assert sent(teams, key_of(teams, "hydro"), "PATCH", "collections/trees", json={"title": "x"}).status_code == 403
    assert sent(teams, land, "DELETE", "catalogs/forest").status_code == 204
    # Nobody's now, and still there.
    assert sent(teams, land, "PATCH", "collections/trees", json={"title": "x"}).status_code == 403
    assert teams.get("collections/trees").json()["title"] == "Trees"


def test_catalogs_are_read_and_searched(teams: Server, examples: Examples) -> None:
    ApiCatalog(teams.href, key=key_of(teams, "hydro")).publish_many(
        [examples.item(name="rain"), examples.item(name="flood", version="1.1.0")]
    )
    ApiCatalog(teams.href, key=key_of(teams, "land")).publish(examples.item(name="cover"))
    assert teams.request("POST", "catalogs/land/catalogs", key=True, json={"id": "hydro"}).status_code == 200
    landing = {link["rel"]: link["href"] for link in teams.get("").json()["links"]}
    assert landing["catalogs"] == f"{teams.href}/catalogs"
    assert [c["id"] for c in teams.get("catalogs").json()["catalogs"]] == ["hydro", "land"]
    first = teams.get("catalogs?limit=1").json()
    [following] = [link["href"] for link in first["links"] if link["rel"] == "next"]
    assert [c["id"] for c in requests.get(following, timeout=30).json()["catalogs"]] == ["land"]
    children = teams.get("catalogs/land/children").json()
    assert [c["id"] for c in children["children"]] == ["hydro", "cover"]
    assert {"root", "parent", "self"} <= {link["rel"] for link in children["links"]}
    only = teams.get("catalogs/land/children?type=Collection").json()["children"]
    assert [c["id"] for c in only] == ["cover"]
    for method, path, expected in (
        ("GET", "catalogs/hydro/search", ["flood-1.1.0-torch", TORCH]),
        ("POST", "catalogs/land/search", ["cover-1.0.0-torch", "flood-1.1.0-torch", TORCH]),
        ("GET", "catalogs/hydro/search?collections=cover", []),
        ("GET", "catalogs/hydro/search?collections=cover,rain", [TORCH]),
        ("GET", "catalogs/hydro/search?filter=version>'1.0.5'", ["flood-1.1.0-torch"]),
    ):
        answer = teams.request(method, path, **({"json": {}} if method == "POST" else {}))
        assert [f["id"] for f in answer.json()["features"]] == expected, (path, answer.text)
    page = teams.request("POST", "catalogs/land/search", json={"limit": 2, "sortby": "-id"}).json()
    [link] = [link for link in page["links"] if link["rel"] == "next"]
    assert link["href"] == f"{teams.href}/catalogs/land/search"
    assert len(teams.request("POST", "catalogs/land/search", json=link["body"]).json()["features"]) == 1
    item = teams.get(f"catalogs/hydro/collections/rain/items/{TORCH}").json()
    assert {link["rel"]: link["href"] for link in item["links"]}["parent"].endswith("catalogs/hydro/collections/rain")
    for path in ("catalogs/nobody", "catalogs/hydro/collections/cover", "catalogs/hydro/collections/rain/items/x"):
        assert teams.get(path).status_code == 404
    named = {"path": "catalogs/hydro/collections/rain", "key": True}
    named["json"] = teams.get(named["path"]).json() | {"title": "Rain"}
    assert teams.request("PUT", **named, headers={"If-Match": '"another"'}).status_code == 412
    tag = teams.get("collections/rain").headers["ETag"]
    assert teams.request("PUT", **named, headers={"If-Match": tag}).json()["title"] == "Rain"
    assert "mlm:framework" in teams.get("catalogs/hydro/queryables").json()["properties"]
    said = teams.get("catalogs/hydro/conformance").json()["conformsTo"]
    assert {f"https://api.stacspec.org/v1.0.0/multi-tenant-catalogs{x}" for x in ("", "/search", "/transaction")} <= {
        *said
    }
    client = pystac_client.Client.open(f"{teams.href}/catalogs/hydro")
    assert {item.id for item in client.get_items(recursive=True)} == {"flood-1.1.0-torch", TORCH}


def test_bad_catalogs_are_refused(teams: Server) -> None:
    for method, path, body, status in (
        ("POST", "catalogs", catalog_of("hydro"), 409),
        ("POST", "catalogs", catalog_of("a/b"), 400),
        ("POST", "catalogs", catalog_of("x") | {"type": "Collection"}, 400),
        ("POST", "catalogs", catalog_of("x") | {"description": 7}, 400),
        ("POST", "catalogs", catalog_of("x") | {"links": "none"}, 400),
        ("PUT", "catalogs/hydro", catalog_of("land"), 400),
        ("PUT", "catalogs/nobody", catalog_of("nobody"), 404),
        ("DELETE", "catalogs/nobody", None, 404),
        ("POST", "catalogs/hydro/collections", {"id": "nothing"}, 404),
        ("POST", "catalogs/hydro/catalogs", {"id": "nothing"}, 404),
        ("POST", "catalogs/hydro/catalogs", {"id": "hydro"}, 409),
        ("DELETE", "catalogs/hydro/catalogs/land", None, 404),
        ("DELETE", "catalogs/hydro/collections/nothing", None, 404),
    ):
        answer = teams.request(method, path, key=True, **({} if body is None else {"json": body}))
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert teams.request(method, path, json=body or {}).status_code == 401
    assert teams.request("POST", "catalogs/hydro/catalogs", key=True, json={"id": "land"}).status_code == 200
    circle = teams.request("POST", "catalogs/land/catalogs", key=True, json={"id": "hydro"})
    assert (circle.status_code, "in it" in circle.json()["detail"]) == (409, True)
    stored = teams.request("PUT", "catalogs/hydro", key=True, json=catalog_of("hydro") | {"title": "Water"}).json()
    assert stored["title"] == "Water"
    assert [link["href"] for link in stored["links"] if link["rel"] == "child"] == [f"{teams.href}/catalogs/land"]


def test_the_audit_log_names_keys_and_needs_one(teams: Server, examples: Examples) -> None:
    hydro = ApiCatalog(teams.href, key=key_of(teams, "hydro"))
    hydro.publish(examples.item(name="rain"))
    everyone = ApiCatalog(teams.href, key=teams.key)
    everyone.publish(examples.item(name="shared"))
    newest = everyone.audit(Asked(collection="rain"))[0]
    assert [entry.action for entry in newest[:2]] == ["publish", "create-model"]
    assert newest[0].by.startswith("hydro-")
    assert everyone.audit(Asked(collection="shared", limit=1))[0][0].by == "tests"
    # A team sees what concerns its models; who has no key sees nothing.
    assert {entry.collection for entry in hydro.audit()[0]} == {"rain"}
    assert hydro.audit(Asked(collection="shared"))[0] == []
    with pytest.raises(UnauthorizedError):
        ApiCatalog(teams.href).audit()
    for query in ("action=dance", "datetime=soon", "limit=0", "limit=x", "before=0"):
        answer = teams.get(f"audit?{query}", headers={"Authorization": f"Bearer {teams.key}"})
        assert answer.status_code == 400, (query, answer.text)
        assert query.partition("=")[0] in answer.json()["detail"]
    assert teams.key not in json.dumps([e.to_dict() for e in everyone.audit(Asked(limit=1000))[0]])
    shown = run("audit", "rain", "--action", "publish", "--catalog", teams.href, MODELSTAC_KEY=teams.key)
    assert shown.returncode == 0, shown.stderr
    assert [line.split()[1:4] for line in shown.stdout.splitlines()[1:2]] == [[newest[0].by, "publish", TORCH]]
    told = run("audit", "rain", "--json", "--limit", "1", "--catalog", teams.href, MODELSTAC_KEY=teams.key)
    assert json.loads(told.stdout)[0]["by"] == newest[0].by


def test_what_is_written_to_the_file_itself_is_in_its_log(tmp_path: Path, examples: Examples) -> None:
    catalog = tmp_path / "models.sqlite"
    item = examples.item(name="rain")
    item.save_object(include_self_link=False, dest_href=str(tmp_path / "made" / "item.json"))
    published = run("publish", tmp_path / "made" / "item.json", "--catalog", catalog)
    assert published.returncode == 0, published.stderr
    shown = run("audit", "--json", "--catalog", catalog)
    entry, made = json.loads(shown.stdout)
    assert (entry["action"], entry["item"], made["action"]) == ("publish", TORCH, "create-model")
    assert entry["by"].startswith("local:")
    refused = run("keys", "--keys", tmp_path / "keys.json", "add", "local:me")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_new_catalog_shows_and_owns_nothing_of_one_before(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "models.sqlite") as connection:
        session = SqliteSession(connection)
        # What is left where a model was made in a catalog that was removed at that moment.
        run_now(hierarchy.show(session, "hydro", hierarchy.COLLECTION, "rain", owned=True))
        run_now(hierarchy.create(session, catalog_of("hydro"), None))
        assert run_now(hierarchy.children(session, "hydro", hierarchy.COLLECTION)) == []
        assert not run_now(hierarchy.owns(session, "hydro", hierarchy.COLLECTION, "rain"))
    connection.close()


def test_a_key_of_a_catalog_that_is_gone_writes_nothing(teams: Server, examples: Examples) -> None:
    key = key_of(teams, "nowhere")
    with pytest.raises(ForbiddenError, match="'nowhere' of this key is not there"):
        ApiCatalog(teams.href, key=key).publish(examples.item(name="rain"))
    assert teams.get("collections").json()["collections"] == []
