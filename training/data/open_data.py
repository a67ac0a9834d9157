"""Radar files from KNMI's Open Data API: list the files of a time, ask for a temporary address of each, fetch it.

https://developer.dataplatform.knmi.nl/open-data-api. A file is fetched into ``.NAME.part`` and goes on from there after
an interruption; it gets its name when it has the size that the list announces and, where the store names one, the MD5
sum.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import DownloadError, IntegrityError, NotFoundError, SpecError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore

BASE_URL = "https://api.dataplatform.knmi.nl/open-data/v1"
KEY = "KNMI_API_KEY"
CONNECTIONS, ATTEMPTS, PAGE = 4, 4, 500
TASK = "fetch radar files"

_ADVICE = "check the network and run it again: it goes on where it stopped"
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Product:
    """A dataset of the platform: its name and version there, and what stands before the time in its file names."""

    dataset: str
    version: str
    prefix: str


PRODUCTS: dict[str, Product] = {
    "reflectivity": Product("radar_reflectivity_composites", "2.0", "RAD_NL25_PCP_NA_"),
    "accumulation": Product("nl_rdr_data_rtcor_5m", "1.0", "RAD_NL25_RAC_RT_"),
}


@dataclass(frozen=True)
class _Remote:
    name: str
    size: int


def download(
    start: datetime,
    end: datetime,
    folder: str | Path,
    *,
    product: str = "reflectivity",
    key: str | None = None,
    base_url: str | None = None,
    timeout: float = 30.0,
    pause: float = 1.0,
    report: Report = ignore,
) -> list[Path]:
    """Fetch the files from ``start`` to ``end`` (UTC, both included) that are not there yet.

    Parameters
    ----------
    folder
        Where to keep them.
    product
        A key of `PRODUCTS`.
    key
        The API key; by default ``KNMI_API_KEY``.
    base_url
        Address of the API; by default ``KNMI_API_URL``, else KNMI's.
    timeout, pause
        Seconds to wait for an answer, and before the second attempt (twice as long before the third).

    Returns
    -------
    list of Path
        All files of that time, those that were there before among them.

    Raises
    ------
    DownloadError
        No key or a wrong one, no network, no such dataset, or a connection that breaks again and again.
    IntegrityError
        A file arrived with another size or sum.
    NotFoundError
        There is no file of that time, or no such product.
    """
    if product not in PRODUCTS:
        raise NotFoundError.unknown("product", product, PRODUCTS, where="KNMI's radar products")
    start, end = (moment.astimezone(UTC) if moment.tzinfo else moment for moment in (start, end))
    if f"{end:%Y%m%d%H%M}" < f"{start:%Y%m%d%H%M}":
        raise SpecError(f"the end {end:%Y-%m-%d %H:%M} is before the start {start:%Y-%m-%d %H:%M}: turn them round")
    api = _Api.of(PRODUCTS[product], key, base_url, timeout, pause)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.doing(f"create {folder}", error, advice="choose another folder") from error
    files = list(api.files(f"{start:%Y%m%d%H%M}", f"{end:%Y%m%d%H%M}"))
    if not files:
        raise NotFoundError(
            f"KNMI has no {product} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: see its site"
        )
    missing = [file for file in files if not _is_whole(folder / file.name, file.size)]
    report(Started(TASK, len(missing)))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        waiting = [pool.submit(api.fetch, file, folder) for file in missing]
        try:
            for done in as_completed(waiting):
                done.result()
                report(Advanced(TASK))
        finally:
            pool.shutdown(cancel_futures=True)
    report(Finished(TASK))
    return [folder / file.name for file in files]


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


class _PassingError(Exception):
    """What another attempt may mend."""


@dataclass(frozen=True)
class _Api:
    product: Product
    address: str
    key: str
    timeout: float
    pause: float

    @classmethod
    def of(cls, product: Product, key: str | None, base_url: str | None, timeout: float, pause: float) -> _Api:
        key = key or os.environ.get(KEY, "")
        if not key.strip():
            raise DownloadError(f"KNMI wants an API key: get one at developer.dataplatform.knmi.nl and set {KEY}")
        base = (base_url or os.environ.get("KNMI_API_URL") or BASE_URL).rstrip("/")
        if not base.startswith(("https://", "http://")):
            raise DownloadError(f"{base} is no web address: set KNMI_API_URL to one that begins with https://")
        address = f"{base}/datasets/{product.dataset}/versions/{product.version}/files"
        return cls(product, address, key.strip(), timeout, pause)

    def files(self, first: str, last: str) -> Iterator[_Remote]:
        """List the files of a time, given as YYYYmmddHHMM, in order."""
        before = f"{self.product.prefix}{int(first) - 1:012d}"  # the API lists what comes after this name
        query = {"maxKeys": str(PAGE), "orderBy": "filename", "sorting": "asc", "begin": before}
        while True:
            page = self._retry(lambda q=query: self._json(f"{self.address}?{urllib.parse.urlencode(q)}"))
            for entry in page["files"]:
                name = str(entry["filename"])
                stamp = name.removeprefix(self.product.prefix)[:12]
                # A name of the service becomes a file name here: nothing but its own pattern may.
                if not re.fullmatch(rf"{re.escape(self.product.prefix)}\d{{12}}\.h5", name) or stamp < first:
                    continue
                if stamp > last:
                    return
                yield _Remote(name, int(entry["size"]))
            if not page.get("isTruncated") or not page.get("nextPageToken"):
                return
            query = {**query, "nextPageToken": str(page["nextPageToken"])}

    def fetch(self, file: _Remote, folder: Path) -> None:
        """Fetch one file; what arrived before stays and is not fetched again."""
        part = folder / f".{file.name}.part"

        def attempt() -> None:
            # The address is good for an hour; every attempt gets a new one.
            answer = self._json(f"{self.address}/{urllib.parse.quote(file.name)}/url")
            self._resume(str(answer["temporaryDownloadUrl"]), file, part)

        try:
            self._retry(attempt)
            part.replace(folder / file.name)
        except OSError as error:
            if isinstance(error, (DownloadError, StorageError)):
                raise
            raise StorageError.doing(
                f"write {folder / file.name}", error, advice=f"free some space; {_ADVICE}"
            ) from error

    def _resume(self, url: str, file: _Remote, part: Path) -> None:
        there = part.stat().st_size if part.exists() else 0
        if there > file.size:
            part.unlink()
            there = 0
        headers = {"Range": f"bytes={there}-"} if 0 < there < file.size else {}
        sum_there = None
        with self._open(url, headers) as answer:
            sum_there = _MD5.fullmatch(answer.headers.get("ETag", ""))
            if there < file.size:
                with part.open("ab" if answer.status == 206 else "wb") as out:
                    while chunk := _read(answer):
                        out.write(chunk)
        size = part.stat().st_size
        if size < file.size:
            raise _PassingError(f"the connection broke after {size} of {file.size} bytes")
        digest = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
        if size > file.size or (sum_there and sum_there[1] != digest):
            part.unlink()
            found = f"{size} bytes" if size > file.size else f"MD5 {digest}"
            expected = f"{file.size} bytes" if size > file.size else f"MD5 {sum_there[1] if sum_there else ''}"
            raise IntegrityError(
                f"{file.name} arrived with {found}, expected {expected}: it was not kept; run it again"
            )

    def _json(self, url: str) -> Any:
        with self._open(url, {"Authorization": self.key}) as answer:
            try:
                return json.loads(_read(answer, everything=True))
            except ValueError as error:
                raise DownloadError(f"{self.address} answers no JSON ({error}): check KNMI_API_URL") from error

    def _open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) only, checked above
            answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refusal(error.code, error.reason, "Authorization" in headers) from error
        except urllib.error.URLError as error:
            raise DownloadError(
                f"cannot reach {urllib.parse.urlsplit(url).netloc} ({error.reason}): {_ADVICE}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(f"the connection broke ({type(error).__name__})") from error
        return answer

    def _refusal(self, code: int, reason: str, by_api: bool) -> Exception:
        if by_api and code in {401, 403}:
            return DownloadError(f"KNMI refuses the API key ({code} {reason}): set {KEY} to one that is valid")
        if by_api and code == 404:
            return DownloadError(f"KNMI knows no {self.address} (404): the dataset was moved or its version replaced")
        # Beside faults of the moment: an address that ran out (403 of the store) is asked for anew.
        return _PassingError(f"the server answers {code} {reason}")

    def _retry(self, attempt: Any) -> Any:
        for number in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except _PassingError as error:
                if number == ATTEMPTS:
                    raise DownloadError(f"gave up on KNMI after {ATTEMPTS} attempts, {error}: {_ADVICE}") from error
                time.sleep(self.pause * 2 ** (number - 1))
        raise AssertionError("the last attempt returns or raises")


def _read(answer: http.client.HTTPResponse, *, everything: bool = False) -> bytes:
    try:
        return answer.read() if everything else answer.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"the connection broke ({type(error).__name__})") from error
