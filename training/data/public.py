"""The 92 public KNMI frames of 26 August 2010, and six more events, fetched from pysteps-data into the user's cache.

Each file is checked against `knmi-2010-08-26.sha256` or `events.sha256` and appears under its name only when it is
whole, so a fetch that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import MappingProxyType

import platformdirs

from modelstac.catalog.errors import DownloadError, IntegrityError, NotFoundError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore

EVENT = "knmi-2010-08-26"
ROOT = "https://raw.githubusercontent.com/pySTEPS/pysteps-data/eaa59fb/"
BASE_URL = f"{ROOT}radar/KNMI/2010/08/"
EVENTS: Mapping[str, str] = MappingProxyType(
    {
        EVENT: "radar/KNMI/2010/08",
        "fmi-2016-09-28": "radar/fmi/pgm/20160928",
        "fmi-2017-05-09": "radar/fmi/pgm/20170509",
        "mch-2015-05-15": "radar/mch/20150515",
        "mch-2016-07-11": "radar/mch/20160711",
        "mch-2017-01-31": "radar/mch/20170131",
        "rmi-2021-07-04": "radar/rmi/radqpe_no_mfb/20210704",
    }
)
"""Events by name, and where each lies in the repository. RMI's may not be used for commercial purposes."""
CONNECTIONS = 8
ATTEMPTS = 3
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that another attempt may change


def checksums(event: str = EVENT) -> dict[str, str]:
    """Return the SHA-256 of the files of an event by name, as pinned in this package."""
    file, prefix = (f"{EVENT}.sha256", "") if event == EVENT else ("events.sha256", f"{event}/")
    lines = Path(__file__).with_name(file).read_text(encoding="ascii").splitlines()
    found = {name: digest for digest, name in (line.split() for line in lines)}
    return {name.removeprefix(prefix): digest for name, digest in found.items() if name.startswith(prefix)}


def fetch_event(event: str, folder: Path | None = None, *, report: Report = ignore) -> Path:
    """Fetch what is missing of one of `EVENTS` and return the folder that holds it; see `fetch` for the errors.

    ``MODELSTAC_DATA_URL`` names another place of the whole repository here, and of the 92 frames in `fetch`.

    Raises
    ------
    NotFoundError
        There is no such event.
    """
    if event not in EVENTS:
        raise NotFoundError.unknown("event", event, EVENTS, where="the public events")
    root = (os.environ.get("MODELSTAC_DATA_URL") or ROOT).rstrip("/")
    folder = folder or platformdirs.user_cache_path("modelstac") / "data" / event
    return fetch(folder, base_url=f"{root}/{EVENTS[event]}", files=checksums(event), report=report)


def fetch(
    folder: str | Path | None = None,
    *,
    base_url: str | None = None,
    files: Mapping[str, str] | None = None,
    timeout: float = 20.0,
    pause: float = 0.5,
    report: Report = ignore,
) -> Path:
    """Fetch what is missing of the public frames, and return the folder that holds them.

    Parameters
    ----------
    folder
        Where to keep them; by default the user's cache.
    base_url
        Where to fetch them from; by default ``MODELSTAC_DATA_URL``, else the pinned commit of pysteps-data.
    files
        SHA-256 by file name; by default the 92 public frames.
    timeout, pause
        Seconds to wait for an answer, and before the second attempt (twice as long before the third).

    Raises
    ------
    DownloadError
        A file cannot be had: no network, an address that does not know it, a connection that breaks three times.
    IntegrityError
        The address serves other bytes.
    StorageError
        The folder cannot be written.
    """
    folder = Path(folder) if folder is not None else platformdirs.user_cache_path("modelstac") / "data" / EVENT
    base_url = (base_url or os.environ.get("MODELSTAC_DATA_URL") or BASE_URL).rstrip("/") + "/"
    if not base_url.startswith(("https://", "http://")):
        raise DownloadError(f"{base_url} is no web address: set MODELSTAC_DATA_URL to one that begins with https://")
    files = checksums() if files is None else files
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.doing(f"create {folder}", error, advice="choose another folder") from error
    missing = [name for name, digest in files.items() if not _is_there(folder / name, digest)]
    if not missing:
        return folder

    def one(name: str) -> None:
        _keep(folder / name, _download(base_url + name, files[name], timeout, pause))

    report(Started("fetch radar files", len(missing)))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waiting = [pool.submit(one, name) for name in missing]
        try:
            for done in as_completed(waiting):
                done.result()
                report(Advanced("fetch radar files"))
        finally:
            # After the first failure nothing else is begun; what is whole by then is kept for the next time.
            pool.shutdown(cancel_futures=True)
    report(Finished("fetch radar files"))
    return folder


def _is_there(path: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError.doing(f"read {path}", error, advice="remove it or choose another folder") from error


def _download(url: str, digest: str, timeout: float, pause: float) -> bytes:
    advice = "check the network and MODELSTAC_DATA_URL, or name a folder of radar files that you have"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - fetch admits http(s) only
                data: bytes = answer.read()
            break
        except urllib.error.HTTPError as error:
            error.close()
            reason, passing = f"the server answers {error.code} {error.reason}", error.code in _PASSING
        except urllib.error.URLError as error:
            # The connection was never made; waiting half a second does not bring a network back.
            reason, passing = str(getattr(error.reason, "strerror", None) or error.reason), False
        except (OSError, http.client.HTTPException) as error:
            reason, passing = f"the connection broke, {type(error).__name__}: {error}", True
        if not passing or attempt == ATTEMPTS:
            raise DownloadError(f"cannot fetch {url} ({reason}): {advice}")
        time.sleep(pause * 2 ** (attempt - 1))
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise IntegrityError(
            f"{url} has SHA-256 {found}, expected {digest}: it was not kept; try another MODELSTAC_DATA_URL"
        )
    return data


def _keep(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError.doing(f"write {path}", error, advice="free some space or choose another folder") from error
