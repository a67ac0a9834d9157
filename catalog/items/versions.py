"""Versions of frameworks: Semantic Versioning as MLM wants it, ranges as people write them, keys that sort as strings.

Sources: PEP 440 (https://peps.python.org/pep-0440/) for order and ranges, https://semver.org for what MLM wants.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from modelstac.catalog.errors import InvalidItemError, InvalidQueryError
from modelstac.catalog.items.mlm.names import SEMVER

if TYPE_CHECKING:  # at run time where it is needed: the import costs a tenth of all that modelstac imports
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_PRE_LETTERS = {"a": "a", "b": "b", "rc": "c"}
_BARE_VERSION = re.compile(r"v?\d+(\.\d+)*\S*")
_SEMANTIC_PRE_RELEASE = re.compile(r"\d+\.\d+\.\d+-[0-9A-Za-z.+-]+", re.ASCII)


def parse_version(text: str) -> Version:
    """Read a version, of Python or semantic.

    A semantic pre-release unknown to Python (``1.0.0-nightly.3``) counts as a development release of its number, the
    third here; so does a number alone (``1.0.0-3``), which Python takes for a release after it.

    Raises
    ------
    InvalidItemError
        If the text is no version.
    """
    from packaging.version import InvalidVersion, Version

    semantic = SEMVER.fullmatch(text)
    try:
        version = Version(text)
    except InvalidVersion:
        version = None
    if semantic is not None and semantic[4] is not None and (version is None or version.post is not None):
        numbers = [part for part in semantic[4].split(".") if part.isdecimal()]
        return Version(".".join(semantic.group(1, 2, 3)) + f".dev{numbers[0] if numbers else 0}")
    if version is None:
        raise InvalidItemError(f"{text!r} is no version: something like '2.13.0' is needed")
    return version


def semver(text: str) -> str:
    """Return a version as Semantic Versioning writes it: ``2.19`` → ``2.19.0``, ``2.13.0rc1`` → ``2.13.0-rc1``.

    Parts that Semantic Versioning lacks (a fourth number, a post-release) become build metadata.

    Raises
    ------
    InvalidItemError
        If the text is no version.
    """
    if SEMVER.fullmatch(text):
        return text
    version = parse_version(text)
    release = (*version.release, 0, 0)
    number = ".".join(str(part) for part in release[:3])
    pre = "".join(str(part) for part in version.pre or ())
    pre += f"dev{version.dev}" if version.dev is not None else ""
    build = [str(part) for part in version.release[3:]]
    build += [f"post{version.post}"] if version.post is not None else []
    build += [version.local] if version.local else []
    return number + (f"-{pre}" if pre else "") + (f"+{'.'.join(build)}" if build else "")


def is_version(text: object) -> bool:
    """Tell whether something is a version that :func:`version_key` takes."""
    try:
        return isinstance(text, str) and bool(version_key(text))
    except InvalidItemError:
        return False


@lru_cache(maxsize=4096)
def version_key(text: str) -> str:
    """Return a key whose order as a string is the order of the versions, so that a server can search ranges.

    The local part (``+cpu``) is left out: it says how a version was built and is no part of its order.

    Raises
    ------
    InvalidItemError
        If the text is no version, or a number in it is too large for the key.
    """
    version = parse_version(text)
    release = (*version.release, 0, 0, 0, 0)[: max(4, len(version.release))]
    if max(release) > 99_999 or len(version.release) > 4:
        raise InvalidItemError(
            f"version {text!r} has too large or too many numbers: four numbers up to 99999 can be kept"
        )
    if version.pre is not None:
        pre = f"{_PRE_LETTERS[version.pre[0]]}{version.pre[1]:010d}"
    else:
        # A development release comes before every pre-release of the same number (PEP 440).
        pre = "0" if version.post is None and version.dev is not None else "z"
    post = "0" if version.post is None else f"1{version.post:010d}"
    dev = "z" if version.dev is None else f"0{version.dev:010d}"
    return ".".join([*(f"{part:05d}" for part in release), pre, post, dev])


def parse_range(text: str) -> SpecifierSet:
    """Read a range such as ``>=2.7,<3``; a version alone (``2.19``) means that version and its patches.

    Raises
    ------
    InvalidQueryError
        If it is no range.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = text.strip()
    specifier = _SEMANTIC_PRE_RELEASE.sub(lambda found: str(parse_version(found[0])), text)
    if _BARE_VERSION.fullmatch(text):
        specifier = f"=={text}.*" if text.count(".") < 2 and text.replace(".", "").isdigit() else f"=={specifier}"
    try:
        found = SpecifierSet(specifier)
    except InvalidSpecifier:
        found = SpecifierSet()
    if not len(found):
        raise InvalidQueryError(f"{text!r} is no version range: something like '>=2.7,<3' or '2.19' is needed")
    return found


def version_in(version: str, specifier: str) -> bool:
    """Tell whether a version lies in a range; pre-releases count as versions like any other.

    Raises
    ------
    InvalidQueryError
        If the range is malformed.
    """
    return parse_range(specifier).contains(parse_version(version), prereleases=True)
