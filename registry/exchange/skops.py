"""Models of scikit-learn as skops saves them: known types are built without running code of whoever wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, UntrustedError
from modelstac.registry.trust.policy import PICKLE, TrustPolicy


def read_skops(path: Path, policy: TrustPolicy) -> Any:
    """Read what scikit-learn's models are saved as by skops, which builds known types alone.

    Raises
    ------
    UntrustedError
        If it holds types that skops does not know, and pickles are not trusted.
    InvalidItemError
        If it is none.
    MissingPackageError
        If skops is not installed.
    """
    try:
        from skops import io
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("skops", "classical", f"reading {path.name}") from error
    try:
        unknown = io.get_untrusted_types(file=path)
    except Exception as error:  # whatever reading a damaged archive raises
        raise InvalidItemError(f"{path.name} is no model that skops reads: {_line(error)}") from error
    if unknown and PICKLE not in policy.code:
        raise UntrustedError(
            f"{path.name} holds types that skops does not know ({', '.join(unknown[:3])}), and building them runs "
            f"their code: if you trust who wrote it, say --trust {PICKLE}"
        )
    try:
        return io.load(path, trusted=unknown)
    except Exception as error:  # as above, and whatever somebody's classes raise
        raise InvalidItemError(f"{path.name} is no model that skops reads: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
