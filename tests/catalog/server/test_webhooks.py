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
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.catalog.server.conftest import Server, run, serving, until
from tests.catalog.server.postgres import Cluster

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.backends.embedded import EmbeddedCatalog
from modelstac.catalog.errors import InvalidItemError, StorageError
from modelstac.catalog.journal import Entry
from modelstac.catalog.server.routes.keys import Keys
from modelstac.catalog.server.teams.session import PgSession
from modelstac.catalog.server.webhooks import outbox
from modelstac.catalog.server.webhooks.hooks import Hooks
from modelstac.catalog.server.webhooks.outbox import Delivery
from modelstac.catalog.server.webhooks.sending import _is_public, send, signature, signed
from modelstac.catalog.testing import Examples

TORCH = "rain-1.0.0-torch"
RETRIES = "[0.1, 0.1, 0.1]"


@dataclass
class Receiver:
    """A service: what it was sent, and with which status it answers."""

    href: str = ""
    status: int = 200
    pauses: list[float] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(found.pauses.pop() if found.pauses else 0)
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


def test_what_waits_for_one_that_was_removed_is_a_dead_letter(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    receiver.status = 503
    started.command("add", "team", receiver.href)
    started.command("add", "other", receiver.href, "--event", "alias")
    with started(MODELSTAC_WEBHOOK_RETRY_SECONDS="[1, 1, 1, 1, 1]") as server:
        ApiCatalog(server.href, key=server.key).publish(Examples(tmp_path / "made").item(name="rain"))
        until(lambda: bool(receiver.got))
        started.command("remove", "team")
        until(lambda: "given up" in server.log.read_text())
        [letter] = json.loads(started.command("dead", "--json"))
        assert letter["error"].startswith("it was removed")
        receiver.status = 200
        receiver.got.clear()
        started.command("add", "team", receiver.href)
        started.command("retry")
        until(lambda: len(receiver.got) == 1)
    assert receiver.told()[0]["data"]["item"] == TORCH


def test_what_another_server_noted_and_sent_meanwhile_is_not_sent_again(cluster: Cluster, tmp_path: Path) -> None:
    import asyncpg

    hooks = [Hooks(tmp_path / "hooks.json").make("team", "https://example.org/")]

    async def both(url: str) -> list[int]:
        first, second = [await asyncpg.connect(url) for _ in range(2)]
        async with first.transaction():
            await PgSession(first).record([Entry("publish", "rain", TORCH)])
        async with asyncio.TaskGroup() as tasks, first.transaction():
            await outbox.distribute(PgSession(first), hooks)
            late = tasks.create_task(outbox.distribute(PgSession(second), hooks))
            while not await first.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
            [sent] = await outbox.claim(PgSession(first), "team", 30)
            await outbox.sent(PgSession(first), sent)
        assert late.done()
        found = [await first.fetchval(f"SELECT count(*) FROM modelstac.{one}") for one in ("audit", "deliveries")]
        for connection in (first, second):
            await connection.close()
        return found

    with cluster.database() as url:
        assert asyncio.run(both(url)) == [1, 0]


def test_who_never_answers_delays_no_other(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    with socket.create_server(("127.0.0.1", 0)) as silent, started(MODELSTAC_WEBHOOK_SECONDS="60") as server:
        started.command("add", "silent", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        started.command("add", "team", receiver.href)
        items = [examples.item(name="rain", version=f"1.{minor}.0") for minor in range(60)]
        ApiCatalog(server.href, key=server.key).publish_many(items)
        until(lambda: len(receiver.got) == len(items))
        assert "tried again" not in server.log.read_text(), "not more at once than a small service takes"
    assert {one["data"]["item"] for one in receiver.told()} == {item.id for item in items}


def test_moves_of_an_alias_are_told_in_their_order(started: Any, receiver: Receiver, tmp_path: Path) -> None:
    examples = Examples(tmp_path / "made")
    receiver.pauses = [0, 0, 0, 0.2, 0.1, 0.3]  # the first is the slowest
    with started() as server:
        catalog = ApiCatalog(server.href, key=server.key)
        catalog.publish_many([examples.item(name="rain"), examples.item(name="rain", version="1.1.0")])
        started.command("add", "team", receiver.href)
        targets = [TORCH, "rain-1.1.0-torch"] * 3
        for target in targets:
            catalog.set_alias("rain", "champion", target)
        assert server.request("DELETE", "collections/rain", key=True).status_code == 204
        until(lambda: len(receiver.got) == len(targets) + 1)
        last = [entry.action for entry in catalog.audit()[0][:2]]
    told = receiver.told()
    assert [one["data"]["item"] for one in told] == [*targets, targets[-1]]
    # With its model an alias goes.
    assert [one["type"] for one in told] == ["alias.moved"] * len(targets) + ["alias.removed"]
    assert last == ["delete-model", "demote"]


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
        hook = hooks.make(f"team-{number}", "https://example.org/word")
        assert not any(secret in repr(hook) for secret in (hook.secret, "word"))
    ended.set()
    watcher.join()
    assert made
    assert not any(made)


@pytest.fixture
def delivery() -> Delivery:
    return Delivery(1, "team", 0, "", None, Entry("publish", "rain", TORCH, {}, "2026-11-29T00:00:00Z", "me", 1))


def test_a_number_that_a_restored_database_gives_again_is_another_message(delivery: Delivery, tmp_path: Path) -> None:
    hook = Hooks(tmp_path / "hooks.json").make("team", "https://example.org/")
    later = replace(delivery, entry=replace(delivery.entry, item="rain-1.1.0-torch", at="2026-11-30T00:00:00Z"))
    again = replace(delivery, number=7, attempts=3, error="status 503")
    first, other, same = (signed(hook, one, b"{}")["webhook-id"] for one in (delivery, later, again))
    assert first == same != other


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


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201])
def test_a_name_by_which_nobody_could_be_told_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidItemError, match=r"webhook .*: a name of 1 to 200 characters is needed"):
        Hooks(tmp_path / "hooks.json").make(name, "https://example.org/hook")
    with pytest.raises(InvalidItemError, match=r"key .*: a name of 1 to 200 characters is needed"):
        Keys(tmp_path / "keys.json").make(name)


def test_a_file_that_is_named_goes_before_a_database_of_the_environment(tmp_path: Path) -> None:
    elsewhere = {"MODELSTAC_DATABASE": "postgresql://models@db.invalid/models", "MODELSTAC_ARTIFACTS": "s3://models"}
    command = ("webhooks", "--catalog", str(tmp_path / "models.sqlite"), "dead", "--json")
    none = run(*command, **elsewhere)
    assert (none.returncode, "no catalog at" in none.stderr) == (2, True), none.stderr
    EmbeddedCatalog(tmp_path / "models.sqlite", create=True)
    shown = run(*command, **elsewhere)
    assert (shown.returncode, shown.stdout.strip()) == (0, "[]"), shown.stderr
