"""Asking the Hub by its client: which Hub, and what it says that is no answer, in one line.

The client reads its own token (``HF_TOKEN``, or that of ``hf auth login``). It is told to send no statistics.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from modelstac.catalog.backends.api.http import reason
from modelstac.catalog.credentials import shown
from modelstac.catalog.errors import (
    DownloadError,
    MissingPackageError,
    NotFoundError,
    SpecError,
    StorageError,
    UnauthorizedError,
)
from modelstac.catalog.times import seconds_of

ENDPOINT, DEFAULT = "HF_ENDPOINT", "https://huggingface.co"
_OFFLINE = "MODELSTAC_OFFLINE"
_RESET = re.compile(r";\s*t=(\d+)")  # https://huggingface.co/docs/hub/rate-limits
_TOKEN = "set HF_TOKEN, or log in with: hf auth login"  # noqa: S105 - advice


def endpoint() -> str:
    """Return the address of the Hub."""
    return (os.environ.get(ENDPOINT) or DEFAULT).rstrip("/")


def client() -> Any:
    """Return the client.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    DownloadError
        If the network is forbidden.
    """
    if os.environ.get(_OFFLINE, "0") not in {"", "0"}:
        raise DownloadError(f"the Hub is on the web, and {_OFFLINE} forbids to ask: unset that once")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise MissingPackageError.extra("huggingface_hub", "hub", "asking the Hugging Face Hub") from error
    disable_progress_bars()
    return HfApi(endpoint=endpoint(), library_name="modelstac")


@contextlib.contextmanager
def explained(repository: str) -> Iterator[None]:
    """Say what the client raises in one line of ours.

    Raises
    ------
    NotFoundError, UnauthorizedError, SpecError, StorageError, DownloadError
        For each its own.
    """
    from httpx2 import HTTPError
    from huggingface_hub import errors

    what = f"{repository} on {shown(endpoint())}"
    try:
        yield
    except errors.HFValidationError as error:
        raise SpecError(f"{repository!r} is no repository: write ORG/NAME") from error
    except errors.LocalTokenNotFoundError as error:
        raise UnauthorizedError(f"{what} needs to know who you are: {_TOKEN}") from error
    except errors.LocalEntryNotFoundError as error:
        if (cause := _answer(error)) is not None:
            raise _of_status(cause, what) from error
        raise DownloadError(f"{what} could not be fetched: {_first(error)}; try again") from error
    except errors.HfHubHTTPError as error:
        raise _of_status(error, what) from error
    except HTTPError as error:
        raise StorageError(f"{what} does not answer: {reason(error)}") from error
    except RuntimeError as error:  # of an upload, whose cause says why
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            raise _of_status(cause, what) from error
        said = error if cause is None else cause
        raise StorageError(f"{what} did not take a file: {type(said).__name__}: {_first(said)}; try again") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # what it makes of an answer of somebody else
        told = f"{type(error).__name__}: {_first(error)}"
        raise StorageError(f"{what} answers otherwise than a Hub ({told}): check {ENDPOINT}") from error


def _answer(error: BaseException) -> Any:
    """Return the answer of the Hub that the client's own error came of; None where it had none."""
    from huggingface_hub import errors

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, errors.HfHubHTTPError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _first(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0][:200]


def _of_status(error: Any, what: str) -> Exception:
    from huggingface_hub import errors

    status, headers = error.response.status_code, error.response.headers
    if isinstance(error, errors.GatedRepoError):
        return UnauthorizedError(f"{what} is gated ({status}): ask for access on its page, then {_TOKEN}")
    if status in {401, 403}:
        kind = "is not there, or not for you to see" if status == 401 else "is not for you, to read or to change"
        return UnauthorizedError(f"{what} {kind} ({status}): check its name; {_TOKEN}")
    if status == 404:
        which = "revision" if isinstance(error, errors.RevisionNotFoundError) else "repository or file"
        return NotFoundError(f"{what}: there is no such {which} (404): check its name")
    if status == 429:
        wait = seconds_of(headers.get("Retry-After"))
        if wait is None and (match := _RESET.search(headers.get("RateLimit") or "")) is not None:
            wait = float(match[1])
        found = StorageError(
            f"{what}: the Hub has too many requests (429): ask again {'later' if wait is None else f'in {wait:.0f} s'}"
        )
        found.retry_after = wait
        return found
    said = " ".join((error.server_message or str(error)).split())[:200]
    return StorageError(f"{what} cannot do it ({status}): {said}{'; try again later' if status >= 500 else ''}")
