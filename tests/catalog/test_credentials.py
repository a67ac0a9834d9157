"""Who one is to a server: said once, to that server alone, and never written down."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pystac
import pytest

import modelstac
from modelstac.catalog import credentials, open_catalog
from modelstac.catalog.errors import InvalidItemError, ModelStacError, StorageError, UnauthorizedError
from modelstac.catalog.testing.examples import Examples

BASIC = "Basic " + base64.b64encode(b"me:p@ss").decode()


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Serves files to whoever has the header, and leads elsewhere what begins with ``/moved``."""

    server: Any

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        self.server.seen.append(given)
        if self.server.expected is not None and given != self.server.expected:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere + self.path.removeprefix("/moved"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/api"):
            self.send_json()
        else:
            super().do_GET()

    def send_json(self) -> None:
        rest = "https://api.stacspec.org/v1.0.0/"
        links = [{"rel": "search", "href": f"{self.server.url}/api/search", "type": "application/geo+json"}]
        landing = {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "theirs",
            "description": "theirs",
            "links": links,
            "conformsTo": [f"{rest}core", f"{rest}item-search", f"{rest}collections"],
        }
        found = {"type": "FeatureCollection", "features": [], "links": []}
        body = json.dumps(found if "search" in self.path else landing).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the standard library's name


@contextmanager
def guarded(folder: Path, expected: str | None, elsewhere: str = "") -> Iterator[Any]:
    def handler(*given: Any) -> Guarded:
        return Guarded(*given, directory=str(folder))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        server: Any = found
        server.expected, server.elsewhere, server.seen = expected, elsewhere, []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    catalog = open_catalog(tmp_path / "models", create=True)
    catalog.publish(Examples(tmp_path / "made").item())
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("MODELSTAC_TOKEN_127_0_0_1", raising=False)
    monkeypatch.setattr(credentials, "_TYPED", {})


def say(way: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Say who one is by one of three ways; give the URL and the header that the server wants."""
    if way == "url":
        return url.replace("://", "://me:p%40ss@"), BASIC
    if way == "netrc":
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password p@ss\n")
        return url, BASIC
    monkeypatch.setenv("MODELSTAC_TOKEN_127_0_0_1", "hush")
    return url, "Bearer hush"


@pytest.mark.parametrize("way", ["url", "netrc", "token"])
def test_a_catalog_and_its_files_behind_a_password(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with guarded(models, None) as server:
        url, server.expected = say(way, server.url, tmp_path, monkeypatch)
        catalog = open_catalog(f"{url}/catalog.json")
        [item] = catalog.search()
        from modelstac.registry.files.fetch import fetch

        assert fetch(item, "model", max_bytes=1 << 20).data
        assert "p%40ss" not in json.dumps(item.to_dict(transform_hrefs=False)) + catalog.href + repr(catalog)


@pytest.mark.parametrize("way", ["url", "netrc", "token"])
def test_an_api_behind_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    with guarded(tmp_path, None) as server:
        url, server.expected = say(way, server.url, tmp_path, monkeypatch)
        catalog = open_catalog(f"{url}/api")
        assert catalog.search() == []
        assert catalog.href == f"{server.url}/api"


def test_401_is_said_as_401(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(models, BASIC) as server:
        for path, kind in (("/api", UnauthorizedError), ("/catalog.json", StorageError)):
            with pytest.raises(
                kind, match=r"wants to know who you are \(401\): set MODELSTAC_TOKEN_127_0_0_1"
            ) as found:
                open_catalog(server.url + path)
            assert "\n" not in str(found.value)
        with pytest.raises(StorageError, match=r"wants to know who you are \(401\)"):
            modelstac.load(f"{server.url}/item.json")
        monkeypatch.setenv("MODELSTAC_TOKEN_127_0_0_1", "wrong")
        with pytest.raises(StorageError, match=r"takes no such user, password or token \(401\)") as found:
            modelstac.load(f"{server.url}/item.json")
        assert "wrong" not in str(found.value).replace("wrong.", "")
        with pytest.raises(UnauthorizedError) as told:
            open_catalog(f"{server.url.replace('://', '://me:secret@')}/api")
        assert "secret" not in str(told.value)


@pytest.mark.parametrize("way", ["url", "netrc", "token"])
def test_another_server_does_not_get_them(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Of a redirect to the same address by another name: neither user nor token is theirs."""
    with guarded(models, None) as other, guarded(models, None) as server:
        server.elsewhere = other.url.replace("127.0.0.1", "localhost")
        url, server.expected = say(way, server.url, tmp_path, monkeypatch)
        for ask in (lambda: open_catalog(f"{url}/moved/catalog.json"), lambda: open_catalog(f"{url}/moved/api")):
            ask()
            assert server.seen
            assert {one for one in server.seen if one} == {server.expected}
        assert len(other.seen) >= 2
        assert set(other.seen) == {None}


def test_a_host_has_a_variable_of_its_own() -> None:
    assert credentials.variable("stac.example.org") == "MODELSTAC_TOKEN_STAC_EXAMPLE_ORG"
    assert credentials.variable("my-host.example.org") == "MODELSTAC_TOKEN_MY__HOST_EXAMPLE_ORG"
    assert credentials.variable("my.host.example.org") != credentials.variable("my-host.example.org")


def test_a_name_with_an_underscore_does_not_get_the_token_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_TOKEN_DATA_EXAMPLE_ORG", "t")
    assert credentials.identified("https://data.example.org/x")[1] == {"Authorization": "Bearer t"}
    assert credentials.identified("https://data_example.org/x")[1] == {}


@pytest.mark.parametrize(
    ("href", "told"),
    [
        ("http://stac.example.org:8080/x", True),
        ("http://10.0.0.7/x", True),
        ("https://stac.example.org/x", False),
        ("http://localhost:8080/x", False),
        ("http://127.0.0.2/x", False),
        ("http://[::1]:8080/x", False),
        ("http://models.localhost/x", False),
    ],
)
def test_what_goes_unencrypted_to_another_machine_is_told_once(
    href: str, told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(credentials, "_TOLD", set())
    assert credentials.identified(href)[1] == {}
    assert caplog.text == "", "nothing is sent"
    known = href.replace("://", "://me:secret@")
    for _ in range(2):
        assert credentials.identified(known)[1]
    assert [record.levelname for record in caplog.records] == (["WARNING"] if told else [])
    assert ("unencrypted" in caplog.text) is told
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "href",
    [
        "https://me:secret@h:99999/x",
        "https://me:secret@[x/y",
        "https://h:x/y",
        "http://[",
        "https://me:secret@h\u2100x/",
    ],
)
def test_what_is_no_address_is_no_bare_error(href: str) -> None:
    assert "secret" not in credentials.identified(href)[0]
    assert "secret" not in credentials.typed(href)
    assert "secret" not in credentials.shown(href)
    assert "secret" not in json.dumps(credentials.without_secrets({"href": href}))
    credentials.is_secret(href)


def test_a_password_is_never_published(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "models", create=True)
    for change in ("asset", "link"):
        item = Examples(tmp_path / "made").item()
        if change == "asset":
            item.add_asset("notes", pystac.Asset("https://me:secret@example.org/notes.txt"))
        else:
            item.add_link(pystac.Link("related", "https://ghp_secret@example.org/notes"))
        with pytest.raises(InvalidItemError, match="has user and password in its address") as found:
            catalog.publish(item)
        assert "secret" not in str(found.value)
    assert catalog.search() == []


def test_a_note_of_the_cache_has_no_password(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODELSTAC_CACHE", str(tmp_path / "cache"))
    with guarded(models, BASIC) as server:
        from modelstac.registry.choosing.references import read_place
        from modelstac.registry.files.kept import keep

        [place] = models.rglob("convlstm*.json")
        item = read_place(f"{server.url.replace('://', '://me:p%40ss@')}/{place.relative_to(models)}")
        document = item.to_dict(transform_hrefs=False)
        assert "p%40ss" not in json.dumps(document)
        document["assets"]["model"]["href"] = f"{server.url.replace('://', '://me:p%40ss@')}/model.keras"
        keep(server.url, "x", document)
    notes = "".join(path.read_text() for path in (tmp_path / "cache" / "items").glob("*.json"))
    assert "model.keras" in notes
    assert "p%40ss" not in notes + caplog.text


def test_what_cannot_be_told_apart_is_no_error() -> None:
    assert credentials.identified("s3://me:x@bucket/key") == ("s3://me:x@bucket/key", {})
    assert credentials.bare("folder/a@b.json") == "folder/a@b.json"
    assert not credentials.is_secret("ssh://git@example.org/code")
    assert isinstance(UnauthorizedError("x"), ModelStacError)
