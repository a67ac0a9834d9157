import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest

from modelstac.catalog.errors import IntegrityError, InvalidItemError, NotFoundError, StorageError, UntrustedError
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.registry.files.fetch import fetch

LIMIT = 1 << 20


def item_of(path: Path | str, **fields: object) -> pystac.Item:
    item = pystac.Item("toy-1.0.0-onnx", None, None, datetime(2010, 8, 26, tzinfo=UTC), {})
    item.add_asset("model", pystac.Asset(str(path), extra_fields=fields))
    return item


@pytest.fixture
def published(tmp_path: Path) -> pystac.Item:
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(range(256)) * 40)
    return item_of(path, **{"file:checksum": multihash(sha256(path)), "file:size": path.stat().st_size})


def path_of(item: pystac.Item) -> Path:
    return Path(item.assets["model"].href)


def test_gives_the_bytes_that_were_published(published: pystac.Item) -> None:
    artifact = fetch(published, "model", max_bytes=LIMIT)
    assert artifact.data == path_of(published).read_bytes()
    assert artifact.sha256 == sha256(path_of(published))


@pytest.mark.parametrize("position", [0, 5000, 10239])
def test_one_changed_byte_names_the_file_and_both_digests(published: pystac.Item, position: int) -> None:
    path = path_of(published)
    before = sha256(path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError) as raised:
        fetch(published, "model", max_bytes=LIMIT)
    assert str(path) in str(raised.value)
    assert before in str(raised.value)
    assert sha256(path) in str(raised.value)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:0]])
def test_another_length_names_both_digests_too(published: pystac.Item, change: object) -> None:
    path = path_of(published)
    before = sha256(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IntegrityError, match=f"{sha256(path)}.*{before}"):
        fetch(published, "model", max_bytes=LIMIT)


def test_size_that_lies_is_refused(published: pystac.Item) -> None:
    published.assets["model"].extra_fields["file:size"] = 10
    with pytest.raises(IntegrityError, match="bytes, and file:size is 10"):
        fetch(published, "model", max_bytes=LIMIT)


def test_limit_of_the_policy_is_kept(published: pystac.Item) -> None:
    with pytest.raises(UntrustedError, match="limit 100"):
        fetch(published, "model", max_bytes=100)


def test_asset_without_checksum_is_refused(published: pystac.Item) -> None:
    del published.assets["model"].extra_fields["file:checksum"]
    with pytest.raises(UntrustedError, match="no file:checksum"):
        fetch(published, "model", max_bytes=LIMIT)


@pytest.mark.parametrize("checksum", ["1114" + "0" * 40, "zz", "", 7])
def test_checksum_that_cannot_be_verified_is_refused(published: pystac.Item, checksum: object) -> None:
    published.assets["model"].extra_fields["file:checksum"] = checksum
    with pytest.raises(InvalidItemError):
        fetch(published, "model", max_bytes=LIMIT)


def test_missing_file_is_named(published: pystac.Item) -> None:
    path_of(published).unlink()
    with pytest.raises(NotFoundError, match=r"model\.onnx"):
        fetch(published, "model", max_bytes=LIMIT)


def test_folder_is_refused(published: pystac.Item) -> None:
    path_of(published).unlink()
    path_of(published).mkdir()
    with pytest.raises(UntrustedError, match=r"no plain file|a folder"):
        fetch(published, "model", max_bytes=LIMIT)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_named_pipe_is_refused_and_does_not_hang(published: pystac.Item) -> None:
    path_of(published).unlink()
    os.mkfifo(path_of(published))
    with pytest.raises(UntrustedError, match="no plain file"):
        fetch(published, "model", max_bytes=LIMIT)


def test_remote_asset_says_what_to_do(published: pystac.Item) -> None:
    published.assets["model"].href = "ftp://example.com/model.onnx"
    with pytest.raises(StorageError, match=r"ftp://example\.com/model\.onnx.*copy"):
        fetch(published, "model", max_bytes=LIMIT)


def test_file_url_is_read(published: pystac.Item) -> None:
    published.assets["model"].href = path_of(published).as_uri()
    assert fetch(published, "model", max_bytes=LIMIT).data


def test_private_file_holds_the_verified_bytes_whatever_becomes_of_the_original(published: pystac.Item) -> None:
    artifact = fetch(published, "model", max_bytes=LIMIT)
    path_of(published).write_bytes(b"exchanged after the check")
    with artifact.private_file(".keras") as path:
        assert path.read_bytes() == artifact.data
        assert path.suffix == ".keras"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()
