from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from modelstac.catalog.errors import InvalidItemError, StorageError
from modelstac.catalog.items.digests import from_multihash, multihash, sha256

# FIPS 180-2, appendix B.1.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == ABC


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*gone: no such file"):
        sha256(tmp_path / "gone")


def test_multihash_round_trip() -> None:
    assert multihash(ABC) == "1220" + ABC
    assert from_multihash(multihash(ABC)) == ABC


@pytest.mark.parametrize(
    "wrong", ["", ABC, "1220" + ABC[:-1], "1220" + ABC.upper(), "1114" + hashlib.sha1().hexdigest()]
)
def test_other_checksums_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidItemError, match="no SHA-256 multihash"):
        from_multihash(wrong)
