"""Webhooks, to a real server of the test's own: signed, retried, given up, kept over a restart, over each store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.server.conftest import Server, run, serving, until
from tests.catalog.server.postgres import Cluster

from modelstac.catalog.backends.api import ApiCatalog
from modelstac.catalog.errors import InvalidItemError, StorageError
from modelstac.catalog.journal import Entry
from modelstac.catalog.server.webhooks.hooks import Hooks
from modelstac.catalog.server.webhooks.outbox import Delivery
from modelstac.catalog.server.webhooks.sending import _is_public, send, signature
from modelstac.catalog.testing import Examples

TORCH = "rain-1.0.0-torch"
RETRIES = "[0.1, 0.1, 0.1]"


@dataclass
class Receiver:
    """A service: what it was sent, and with which status it answers."""

    href: str = ""
    status: int = 200
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.status)
            if found.status == 302:
                self.send_header("Location", f"{found.href}elsewhere")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.href = f"http://127.0.0.1:{server.server_port}/"
        yield found
        server.shutdown()


@pytest.fixture(params=["embedded", "pgstac"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Give what starts a server over one catalog, again and again."""
    if request.param == "embedded":
        place: dict[str, str] = {"MODELSTAC_CATALOG": str(tmp_path / "models.sqlite")}
        yield _starter(tmp_path, place)
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    with cluster.database() as url:
        yield _starter(tmp_path, {"MODELSTAC_DATABASE": url, "MODELSTAC_ARTIFACTS": str(tmp_path / "files")})


def _starter(folder: Path, place: dict[str, str]) -> Callable[..., Any]:
    variables = place | {"MODELSTAC_WEBHOOKS": str(folder / "hooks.json"), "MODELSTAC_WEBHOOK_RETRY_SECONDS": RETRIES}

    @contextmanager
    def start(**more: str) -> Iterator[Server]:
        (folder / "keys.json").unlink(missing_ok=True)
        with serving(folder, **(variables | {"MODELSTAC_WEBHOOK_PRIVATE": "1"} | more)) as server:
            yield server

    def command(*arguments: str) -> Any:
        done = run("webhooks", *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    start.command = command  # type: ignore[attr-defined]
    return start


def test_what_happens_is_told_signed_and_once(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    with started() as server:
        catalog = ApiCatalog(server.href, key=server.key)
        catalog.publish(examples.item(name="rain", version="0.9.0"))
        secret = started.command("add", "team", receiver.href).strip()
        aliases = json.loads(started.command("add", "aliases", f"{receiver.href}x?y=1", "--event", "alias", "--json"))
        catalog.publish(examples.item(name="rain"))
        catalog.set_alias("rain", "champion", TORCH)
        catalog.deprecate(TORCH)
        catalog.set_alias("rain", "champion", None)
        until(lambda: len(receiver.got) >= 5)
        time.sleep(1.5)
        told = receiver.told()
        assert sorted(one["type"] for one in told) == ["alias.moved"] * 2 + ["alias.removed"] * 2 + ["item.published"]
        # What happened before anybody asked for it is not told.
        assert {one["data"]["item"] for one in told} == {TORCH}
        [published] = [one for one in told if one["type"] == "item.published"]
        assert published["data"] == {
            "collection": "rain",
            "item": TORCH,
            "by": "tests",
            "path": f"collections/rain/items/{TORCH}",
        }
        assert server.get(published["data"]["path"]).status_code == 200
        for headers, body in receiver.got:
            expected = [
                signature(key, headers["webhook-id"], headers["webhook-timestamp"], body)
                for key in (secret, aliases["secret"])
            ]
            assert headers["webhook-signature"] in expected
            assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 5
        shown = started.command("list", "--json")
        assert secret not in shown
        assert [hook["name"] for hook in json.loads(shown)] == ["team", "aliases"]
        assert secret not in server.log.read_text()


def test_what_fails_is_tried_again_and_given_up(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    receiver.status = 503
    started.command("add", "team", receiver.href)
    with started() as server:
        ApiCatalog(server.href, key=server.key).publish(examples.item(name="rain"))
        until(lambda: len(receiver.got) == 4)
        until(lambda: "given up" in server.log.read_text())
        [letter] = json.loads(started.command("dead", "--json"))
        assert (letter["hook"], letter["attempts"], letter["entry"]["item"]) == ("team", 4, TORCH)
        assert "status 503" in letter["error"]
        # Each try is one message, known by its id.
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        receiver.status = 200
        assert started.command("retry", str(letter["number"])).startswith("1 to be")
        until(lambda: len(receiver.got) == 5)
        assert json.loads(started.command("dead", "--json")) == []


def test_what_waits_survives_the_end_of_the_server(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    receiver.status = 500
    started.command("add", "team", receiver.href)
    with started(MODELSTAC_WEBHOOK_RETRY_SECONDS="[1, 1, 1, 1, 1, 1]") as server:
        ApiCatalog(server.href, key=server.key).publish(examples.item(name="rain"))
        until(lambda: bool(receiver.got))
    receiver.got.clear()
    receiver.status = 200
    with started():
        until(lambda: bool(receiver.got))
    assert receiver.told()[0]["data"]["item"] == TORCH


def test_nothing_is_sent_to_private_addresses(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    started.command("add", "team", receiver.href)
    with started(MODELSTAC_WEBHOOK_PRIVATE="0") as server:
        ApiCatalog(server.href, key=server.key).publish(Examples(tmp_path / "made").item(name="rain"))
        until(lambda: "given up" in server.log.read_text())
        assert "private network" in json.loads(started.command("dead", "--json"))[0]["error"]
    assert receiver.got == []


def test_an_address_that_an_older_version_took_stops_nobody_else(
    started: Any, receiver: Receiver, tmp_path: Path
) -> None:
    started.command("add", "odd", "http://example.org/")
    started.command("add", "team", receiver.href)
    file = tmp_path / "hooks.json"
    file.write_text(file.read_text().replace("http://example.org/", "http://example.org:99999/"))
    examples = Examples(tmp_path / "made")
    with started() as server:
        catalog = ApiCatalog(server.href, key=server.key)
        for version in ("1.0.0", "1.1.0"):
            catalog.publish(examples.item(name="rain", version=version))
            until(lambda: "given up" in server.log.read_text())
        until(lambda: len(receiver.got) == 2)


def test_secrets_are_readable_by_their_owner_alone_at_every_moment(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path / "hooks.json")
    hooks.make("team", "https://example.org/")
    left = tmp_path / ".hooks.json.new"
    left.write_text("of a process that was killed")
    left.chmod(0o644)
    made: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for file in (left, hooks.path):
                with contextlib.suppress(FileNotFoundError):
                    if "whsec_" in file.read_text():
                        made.append(file.stat().st_mode & 0o077)

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(20):
        hooks.make(f"team-{number}", "https://example.org/")
    ended.set()
    watcher.join()
    assert made
    assert not any(made)


@pytest.fixture
def delivery() -> Delivery:
    return Delivery(1, "team", 0, "", None, Entry("publish", "rain", TORCH, {}, "2026-11-29T00:00:00Z", "me", 1))


def test_no_redirection_is_followed(receiver: Receiver, delivery: Delivery, tmp_path: Path) -> None:
    hook = Hooks(tmp_path / "hooks.json").make("team", receiver.href)
    receiver.status = 302
    with pytest.raises(StorageError, match="status 302"):
        asyncio.run(send(hook, delivery, private=True, seconds=5))
    assert len(receiver.got) == 1
    gone = Hooks(tmp_path / "hooks.json").make("gone", "http://127.0.0.1:1/")
    with pytest.raises(StorageError, match="nothing answers"):
        asyncio.run(send(gone, delivery, private=True, seconds=5))
    assert (tmp_path / "hooks.json").stat().st_mode & 0o077 == 0


@contextmanager
def answering(answer: bytes, more: bytes = b"") -> Iterator[str]:
    """Give host and port of a service that answers once, and goes on byte by byte until nobody listens."""

    def answer_it() -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(answer)
            for _ in range(400 if more else 0):
                connection.sendall(more)
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer_it)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("scheme", "beginning", "more"),
    [("http", b"HTTP/1.1 200 OK\r\nX: ", b"x"), ("https", b"\x16\x03\x03\x40\x00", b"\x00")],
    ids=["headers", "handshake"],
)
def test_who_answers_byte_by_byte_is_not_waited_for(
    scheme: str, beginning: bytes, more: bytes, delivery: Delivery, tmp_path: Path
) -> None:
    with answering(beginning, more) as place:
        hook = Hooks(tmp_path / "hooks.json").make("slow", f"{scheme}://{place}/")
        with pytest.raises(StorageError, match=r"does not answer within 0\.3 s"):
            asyncio.run(send(hook, delivery, private=True, seconds=0.3))


@pytest.mark.parametrize("answer", [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_what_is_no_answer_is_a_failure(answer: bytes, delivery: Delivery, tmp_path: Path) -> None:
    with answering(answer) as place:
        hook = Hooks(tmp_path / "hooks.json").make("odd", f"http://{place}/")
        with pytest.raises(StorageError, match=r"nothing answers at 127\.0\.0\.1: "):
            asyncio.run(send(hook, delivery, private=True, seconds=5))


def test_a_signature_is_that_of_the_standard() -> None:
    # The example of the standard's own libraries.
    body = b'{"test": 2432232314}'
    found = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::101:101", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
    ],
)
def test_private_addresses_are_known_in_every_form(address: str, public: bool) -> None:
    assert _is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org", "https://", "file:///etc/passwd", "https://me:secret@example.org"),
        *(
            "https://example.org:99999/",
            "https://[x/",
            "https://@[x/",
            "https://example.org/a b",
            "https://日本.example/",
        ),
    ],
)
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidItemError, match="webhook") as found:
        Hooks(tmp_path / "hooks.json").make("team", url)
    assert "secret" not in str(found.value)


def test_a_file_that_is_named_goes_before_a_database_of_the_environment(tmp_path: Path) -> None:
    elsewhere = {"MODELSTAC_DATABASE": "postgresql://models@db.invalid/models", "MODELSTAC_ARTIFACTS": "s3://models"}
    shown = run("webhooks", "--catalog", str(tmp_path / "models.sqlite"), "dead", "--json", **elsewhere)
    assert (shown.returncode, shown.stdout.strip()) == (0, "[]"), shown.stderr
