from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from modelstac.catalog.errors import InvalidItemError, InvalidQueryError
from modelstac.catalog.items.mlm import SEMVER
from modelstac.catalog.items.versions import parse_version, semver, version_in, version_key

numbers = st.integers(0, 99_999)
small = st.integers(0, 99_999_999)


@st.composite
def versions(draw: st.DrawFn) -> str:
    """Versions of PEP 440 without epoch and local part, of up to four numbers."""
    text = ".".join(str(part) for part in draw(st.lists(numbers, min_size=1, max_size=4)))
    if draw(st.booleans()):
        text += f"{draw(st.sampled_from(['a', 'b', 'rc']))}{draw(small)}"
    if draw(st.booleans()):
        text += f".post{draw(small)}"
    if draw(st.booleans()):
        text += f".dev{draw(small)}"
    return text


@given(versions(), versions())
def test_keys_sort_as_versions_do(one: str, other: str) -> None:
    assert (version_key(one) < version_key(other)) == (Version(one) < Version(other))
    assert (version_key(one) == version_key(other)) == (Version(one) == Version(other))


@given(versions(), st.sampled_from(["", "+cpu", "+cu121.post2"]))
def test_semver_is_semantic_and_idempotent(text: str, local: str) -> None:
    written = semver(text + local)
    assert SEMVER.fullmatch(written)
    assert semver(written) == written
    assert parse_version(written).release[:3] == (*Version(text).release, 0, 0)[:3]


def test_the_strings_that_cql2_would_compare_wrongly() -> None:
    assert version_key("3.9.0") < version_key("3.12.0")
    assert version_key("2.13.0+cpu").startswith("00002.00013.00000")
    assert version_key("2.13.0+cpu") == version_key("2.13.0")
    assert version_key("2.13.0-rc1") < version_key("2.13.0") < version_key("2.13.0.post1")


def test_semantic_pre_releases_of_words_and_of_numbers() -> None:
    ordered = ["1.0.0-3", "1.0.0-nightly.12", "1.0.0-20260105", "1.0.0-alpha.9", "1.0.0-alpha.10", "1.0.0"]
    assert all(version_key(one) < version_key(other) for one, other in itertools.pairwise(ordered))
    assert version_key("1.0.0") == version_key("1.0.0+3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.19", "2.19.0"),
        ("2.13.0+cpu", "2.13.0+cpu"),
        ("2.13.0rc1", "2.13.0-rc1"),
        ("2.14.0.dev20260101+cu121", "2.14.0-dev20260101+cu121"),
        ("1.2.3.4", "1.2.3+4"),
        ("1.2.3.post1", "1.2.3+post1"),
        ("1.0.0-nightly.3", "1.0.0-nightly.3"),
    ],
)
def test_semver(text: str, expected: str) -> None:
    assert semver(text) == expected


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("2.13.0+cpu", ">=2.7,<3", True),
        ("2.6.9", ">=2.7,<3", False),
        ("3.0.0", ">=2.7,<3", False),
        ("3.12.0", ">=3.9", True),
        ("2.19.1", "2.19", True),
        ("2.20.0", "2.19", False),
        ("2.19.1", "2", True),
        ("2.19.1", "2.19.1", True),
        ("2.19.1", "2.19.0", False),
        ("2.13.0-rc1", ">=2.12", True),
        ("1.0.0-nightly.3", ">=1.0", False),
        ("1.0.0-nightly.3", "1.0.0-nightly.3", True),
        ("1.0.0-nightly.12", ">1.0.0-nightly.3,<=1.0.0", True),
        ("1.0.0-3", "1.0.0-3", True),
        ("1.0.0-3", "<=1.0.0", True),
    ],
)
def test_version_in(version: str, wanted: str, expected: bool) -> None:
    assert version_in(version, wanted) is expected


@pytest.mark.parametrize("wrong", ["", "abc", ">=", ">=two", "2.7 to 3"])
def test_a_malformed_range_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidQueryError, match="is no version range"):
        version_in("1.0.0", wrong)


@pytest.mark.parametrize("wrong", ["", "abc", "1.0.x"])
def test_a_malformed_version_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidItemError, match="is no version"):
        version_key(wrong)


def test_a_number_too_large_for_the_key_is_refused() -> None:
    with pytest.raises(InvalidItemError, match="too large"):
        version_key("100000.0.0")
