"""The cache with real servers, real processes and real deaths."""

import hashlib
import json
import multiprocessing
import os
import random
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest
from tests.registry.http_server import PIECE, Server, serving

from modelstac.catalog.errors import (
    DownloadError,
    IntegrityError,
    ModelStacError,
    NotFoundError,
    SpecError,
    StorageError,
)
from modelstac.catalog.items.digests import multihash
from modelstac.catalog.messages import Advanced, Message
from modelstac.registry.files.cache import Cache, parse_size
from modelstac.registry.files.download import BLOCK, Source
from modelstac.registry.files.fetch import fetch
from modelstac.registry.files.stamps import SETTLED

CONTENT = random.Random(1).randbytes(600_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
KILLS = int(os.environ.get("MODELSTAC_TEST_KILLS", "25"))

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["modelstac.registry.files.fetch"])


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.reset()
    return running


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def item_at(href: str, content: bytes = CONTENT) -> pystac.Item:
    item = pystac.Item("toy-1.0.0-onnx", None, None, datetime(2010, 8, 26, tzinfo=UTC), {})
    fields = {"file:checksum": multihash(hashlib.sha256(content).hexdigest()), "file:size": len(content)}
    item.add_asset("model", pystac.Asset(href, extra_fields=fields))
    return item


def get(cache: Cache, href: str, **options: object) -> bytes:
    return fetch(item_at(href), "model", max_bytes=1 << 30, cache=cache, **options).data


def source(href: str, size: int | None = len(CONTENT)) -> Source:
    return Source(href, DIGEST, size, "asset 'model' of item 'toy-1.0.0-onnx'")


def test_downloads_once_and_reports_the_bytes(server: Server, cache: Cache) -> None:
    messages: list[Message] = []
    assert get(cache, f"{server.url}/ok/model.onnx", report=messages.append) == CONTENT
    assert sum(m.steps for m in messages if isinstance(m, Advanced)) == len(CONTENT)
    assert get(cache, f"{server.url}/ok/model.onnx") == CONTENT
    assert len(server.requests) == 1


def test_signed_url_is_asked_for_as_it_is_and_not_shown(server: Server, cache: Cache) -> None:
    assert get(cache, f"{server.url}/ok/my%20model.onnx?sig=a%2Fb%3D&x=1") == CONTENT
    assert server.requests == ["/ok/my%20model.onnx?sig=a%2Fb%3D&x=1 None"]
    with pytest.raises(StorageError) as raised:
        cache.provide(Source(f"{server.url}/403/m.onnx?sig=secret", "0" * 64, None, "asset"))
    assert "secret" not in str(raised.value)


def test_long_file_comes_in_parallel_ranges(cache: Cache) -> None:
    content = random.Random(2).randbytes(2 * BLOCK + 77)
    with serving(content) as server:
        found = cache.provide(Source(f"{server.url}/ok/m", hashlib.sha256(content).hexdigest(), len(content), "asset"))
        assert found.read_bytes() == content
        ranges = sorted(int(r.rpartition("=")[2].partition("-")[0]) for r in server.requests)
        assert ranges == [0, BLOCK, 2 * BLOCK]


def test_long_file_of_a_server_without_ranges_comes_whole(cache: Cache) -> None:
    content = random.Random(2).randbytes(BLOCK + 77)
    with serving(content) as server:
        asked = Source(f"{server.url}/norange/m", hashlib.sha256(content).hexdigest(), len(content), "asset")
        assert cache.provide(asked).read_bytes() == content


def test_offline_gives_what_is_here_and_nothing_else(
    server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    with pytest.raises(DownloadError, match="MODELSTAC_OFFLINE"):
        get(cache, f"{server.url}/ok/m")
    assert server.requests == []
    monkeypatch.setenv("MODELSTAC_OFFLINE", "0")
    get(cache, f"{server.url}/ok/m")
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    assert get(cache, f"{server.url}/ok/m") == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("403", StorageError, "403.*credentials"),
        ("404", NotFoundError, "404.*publisher"),
        ("429", DownloadError, "429.*later"),
        ("500", DownloadError, "server.*later"),
        ("503", DownloadError, "server.*later"),
        ("longer", IntegrityError, "has more bytes, published were 600000"),
        ("shorter", IntegrityError, "has 599999 bytes, published were 600000"),
        ("other", IntegrityError, f"published was {DIGEST}"),
    ],
)
def test_bad_answers_are_one_line_each(
    server: Server, cache: Cache, kind: str, error: type[ModelStacError], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        get(cache, f"{server.url}/{kind}/m")
    assert "asset 'model' of item 'toy-1.0.0-onnx'" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert cache.entries() == [] or not cache.entries()[0].complete
    assert get(cache, f"{server.url}/ok/m") == CONTENT  # what failed stands in nobody's way


def test_server_that_stalls_is_left_and_gone_on_from(
    server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSTAC_TIMEOUT", "0.3")
    assert get(cache, f"{server.url}/stalls/m") == CONTENT  # each time it gives half of the file
    assert len(server.requests) > 1
    assert all("bytes=" in request for request in server.requests[1:])


def test_server_that_stalls_at_once_is_named(server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSTAC_TIMEOUT", "0.2")
    server.pause_at = 0
    try:
        with pytest.raises(DownloadError, match=r"stalled.*MODELSTAC_TIMEOUT"):
            get(cache, f"{server.url}/ok/m")
    finally:
        server.pause_at = None


def test_host_that_is_not_there_is_named(cache: Cache) -> None:
    with pytest.raises(DownloadError, match="cannot be reached"):
        get(cache, "http://127.0.0.1:1/m")


def test_broken_connection_is_gone_on_from(server: Server, cache: Cache) -> None:
    assert get(cache, f"{server.url}/breaks/m") == CONTENT
    assert len(server.requests) > 1
    assert server.sent < 1.5 * len(CONTENT)


def test_server_without_ranges_begins_anew(server: Server, cache: Cache) -> None:
    part = cache.path(DIGEST).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert get(cache, f"{server.url}/norange/m") == CONTENT


@pytest.mark.parametrize("begun", [b"of another file", CONTENT + b"more", CONTENT[:-1] + b"?"])
def test_beginning_of_another_file_is_thrown_away(server: Server, cache: Cache, begun: bytes) -> None:
    part = cache.path(DIGEST).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(begun)
    assert get(cache, f"{server.url}/ok/m") == CONTENT


def test_unknown_length(server: Server, cache: Cache) -> None:
    assert cache.provide(source(f"{server.url}/ok/m", None)).read_bytes() == CONTENT


def _load(root: Path, href: str, answers: object) -> None:
    found = hashlib.sha256(get(Cache(root), href)).hexdigest()
    if answers is not None:
        answers.put(found)


def test_sixteen_processes_download_once(server: Server, cache: Cache) -> None:
    answers = processes.Queue()
    workers = [
        processes.Process(target=_load, args=(cache.root, f"{server.url}/ok/m", answers), daemon=True)
        for _ in range(16)
    ]
    for worker in workers:
        worker.start()
    assert [answers.get(timeout=120) for _ in workers] == [DIGEST] * 16
    for worker in workers:
        worker.join()
    assert len(server.requests) == 1
    assert server.sent == len(CONTENT)


def test_killed_anywhere_the_next_load_succeeds(server: Server, cache: Cache) -> None:
    chance = random.Random(3)
    resumed = 0
    for _ in range(KILLS):
        server.paused.clear()
        server.pause_at = chance.randrange(len(CONTENT) - PIECE)
        worker = processes.Process(target=_load, args=(cache.root, f"{server.url}/ok/m", None), daemon=True)
        worker.start()
        assert server.paused.wait(30)
        time.sleep(chance.random() * 0.02)  # before, while or after what came is written
        worker.kill()
        worker.join()
        server.pause_at = None
        server.reset()
        assert not cache.path(DIGEST).exists()
        assert get(cache, f"{server.url}/ok/m") == CONTENT
        resumed += "bytes=" in server.requests[0]
        cache.path(DIGEST).unlink()
    assert resumed > KILLS // 4


def _load_with_little_disk(root: Path, href: str, answers: object) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        get(Cache(root), href)
    except StorageError as error:
        answers.put(str(error))


def test_full_disk_says_what_to_do(server: Server, cache: Cache) -> None:
    answers = processes.Queue()
    worker = processes.Process(
        target=_load_with_little_disk, args=(cache.root, f"{server.url}/ok/m", answers), daemon=True
    )
    worker.start()
    message = answers.get(timeout=60)
    worker.join()
    assert str(cache.root) in message
    assert "asset 'model' of item 'toy-1.0.0-onnx'" in message
    assert "MODELSTAC_CACHE_LIMIT" in message
    assert get(cache, f"{server.url}/ok/m") == CONTENT


def test_cache_that_cannot_be_written_says_what_to_do(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"asset 'model' of item 'toy-.*name another folder by MODELSTAC_CACHE"):
        get(Cache(tmp_path / "file" / "cache"), f"{server.url}/ok/m")
    (tmp_path / "local.onnx").write_bytes(CONTENT)  # and a local file needs no cache
    assert get(Cache(tmp_path / "file" / "cache"), str(tmp_path / "local.onnx")) == CONTENT


# Stamps


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files that were written long enough ago to be stamped."""
    folder = tmp_path_factory.mktemp("settled")
    for n in range(4):
        (folder / f"{n}.onnx").write_bytes(CONTENT)
    time.sleep(SETTLED / 1e9 + 0.05)
    return folder


def test_file_that_did_not_change_is_hashed_once(settled: Path, cache: Cache) -> None:
    path = settled / "0.onnx"
    assert get(cache, str(path)) == CONTENT
    stamp = cache.local_stamp(path)
    # What the stamp says now can only come from the stamp.
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "sha256": "5" * 64}))
    with pytest.raises(IntegrityError, match="5" * 64):
        get(cache, str(path))
    assert get(cache, str(path), rehash=True) == CONTENT
    assert json.loads(stamp.read_text())["sha256"] == DIGEST


def test_file_that_was_exchanged_is_refused_whatever_its_times_say(settled: Path, cache: Cache) -> None:
    path = settled / "1.onnx"
    get(cache, str(path))
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"poison")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(IntegrityError):
        get(cache, str(path))


def test_other_file_under_the_name_is_refused(settled: Path, cache: Cache) -> None:
    path = settled / "2.onnx"
    get(cache, str(path))
    (settled / "poison").write_bytes(bytes(len(CONTENT)))
    os.utime(settled / "poison", ns=(0, path.stat().st_mtime_ns))
    (settled / "poison").replace(path)
    with pytest.raises(IntegrityError):
        get(cache, str(path))


def test_file_written_just_now_gets_no_stamp(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "new.onnx").write_bytes(CONTENT)
    get(cache, str(tmp_path / "new.onnx"))
    assert not cache.local_stamp(tmp_path / "new.onnx").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1, "file": null}', "\0"])
def test_damaged_stamp_is_no_stamp(settled: Path, cache: Cache, content: str) -> None:
    path = settled / "3.onnx"
    stamp = cache.local_stamp(path)
    stamp.parent.mkdir(parents=True)
    stamp.write_text(content)
    assert get(cache, str(path)) == CONTENT


def test_poisoned_cache_is_refused_and_says_what_to_run(server: Server, cache: Cache) -> None:
    get(cache, f"{server.url}/ok/m")
    cache.path(DIGEST).write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(IntegrityError, match="modelstac cache verify"):
        get(cache, f"{server.url}/ok/m")
    assert [entry.sha256 for entry in cache.verify()] == [DIGEST]
    assert get(cache, f"{server.url}/ok/m") == CONTENT
    assert cache.verify() == []


# Its size


def fill(cache: Cache, *ages: int) -> list[str]:
    digests = []
    for n, age in enumerate(ages):
        digest = f"{n}" * 64
        cache.path(digest).parent.mkdir(parents=True)
        cache.path(digest).write_bytes(bytes(1000))
        os.utime(cache.path(digest), (time.time() - age, time.time() - age))
        digests.append(digest)
    return digests


def test_least_recently_used_goes_first(cache: Cache) -> None:
    new, old, older = fill(cache, 10, 20, 30)
    cache.stamp(older).write_text("{}")  # used now
    assert [e.sha256 for e in cache.prune(2000)] == [old]
    assert {e.sha256 for e in cache.entries()} == {new, older}
    assert [e.sha256 for e in cache.prune(0)] == [new, older]


def test_what_is_being_downloaded_stays(server: Server, cache: Cache) -> None:
    (old,) = fill(cache, 100)
    server.paused.clear()
    server.pause_at = 200_000
    worker = processes.Process(target=_load, args=(cache.root, f"{server.url}/ok/m", None), daemon=True)
    worker.start()
    assert server.paused.wait(30)
    assert [e.sha256 for e in cache.prune(0)] == [old]
    assert cache.path(DIGEST).with_suffix(".part").exists()
    server.pause_at = None
    worker.join(60)
    assert cache.path(DIGEST).read_bytes() == CONTENT


def test_download_keeps_the_limit(server: Server, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=len(CONTENT))
    fill(cache, 10)
    get(cache, f"{server.url}/ok/m")
    assert [e.sha256 for e in cache.entries()] == [DIGEST]


def test_limit_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [parse_size(t) for t in ("12", "500MB", "1.5 GB", "2k")] == [12, 500_000_000, 1_500_000_000, 2000]
    monkeypatch.setenv("MODELSTAC_CACHE_LIMIT", "plenty")
    with pytest.raises(SpecError, match="MODELSTAC_CACHE_LIMIT is 'plenty'"):
        Cache()
