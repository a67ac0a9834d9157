"""Downloads from a server that speaks as KNMI's Open Data API and its store do."""

import hashlib
import json
import os
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from modelstac.catalog.errors import DownloadError, IntegrityError, NotFoundError, SpecError
from modelstac.cli import main
from modelstac.training.data import open_data
from modelstac.training.data.open_data import download

API = "/open-data/v1/datasets/radar_reflectivity_composites/versions/2.0/files"
START, END = datetime(2024, 7, 1, 12, 0), datetime(2024, 7, 1, 12, 30)


class Handler(BaseHTTPRequestHandler):
    """The list in pages, temporary addresses, and a store that knows ranges and ETags."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        site, url = self.server.site, urlsplit(self.path)
        site["asked"].append((url.path, self.headers.get("Range")))
        if url.path.startswith("/store/"):
            return self.store(site, url.path.removeprefix("/store/"))
        if self.headers.get("Authorization") != "good-key":
            return self.answer(401)
        if site["busy"]:
            site["busy"] -= 1
            return self.answer(429)
        if url.path == API:
            return self.list(site["files"], {key: values[0] for key, values in parse_qs(url.query).items()})
        name = url.path.removeprefix(API + "/").removesuffix("/url")
        if name not in site["files"]:
            return self.answer(404)
        host, port = self.server.server_address
        body = {
            "contentType": "application/x-hdf5",
            "temporaryDownloadUrl": f"http://{host}:{port}/store/{name}?X-Sig=1",
        }
        return self.answer(200, json.dumps(body).encode())

    def list(self, files, query):
        assert (query["orderBy"], query["sorting"]) == ("filename", "asc")
        names = sorted(name for name in files if name > query.get("nextPageToken", query["begin"]))
        shown = names[: min(int(query["maxKeys"]), 4)]
        entries = [{"filename": name, "size": len(files[name]), "lastModified": "2024-07-01"} for name in shown]
        page = {"isTruncated": len(shown) < len(names), "resultCount": len(shown), "files": entries}
        if page["isTruncated"]:
            page["nextPageToken"] = shown[-1]
        self.answer(200, json.dumps(page).encode())

    def store(self, site, name):
        if self.headers.get("Authorization"):  # a signed address and a header together are refused
            return self.answer(400)
        data, first = site["files"][name], 0
        etag = site["etag"] or f'"{hashlib.md5(data).hexdigest()}"'
        if wanted := self.headers.get("Range"):
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = data[first:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", etag)
        self.end_headers()
        if site["cut"] > 0:
            site["cut"] -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None


@pytest.fixture
def site():
    files = {}
    for minute in range(0, 60, 5):
        name = f"RAD_NL25_PCP_NA_2024070112{minute:02d}.h5"
        files[name] = os.urandom(5000 + minute)
    files["RAD_NL25_PCP_NA_202407011131.h5"] = b"earlier"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site = {"files": files, "asked": [], "cut": 0, "busy": 0, "etag": ""}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.site["url"] = f"http://127.0.0.1:{server.server_address[1]}/open-data/v1"
    yield server.site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("KNMI_API_KEY", raising=False)


def fetch(site, folder, **changes):
    options = {"key": "good-key", "base_url": site["url"], "pause": 0.01} | changes
    return download(START, END, folder, **options)


def test_the_files_of_a_time_arrive_whole(site, tmp_path):
    paths = fetch(site, tmp_path / "radar")
    assert [path.name for path in paths] == [f"RAD_NL25_PCP_NA_2024070112{minute:02d}.h5" for minute in range(0, 31, 5)]
    for path in paths:
        assert path.read_bytes() == site["files"][path.name]
    assert len(list((tmp_path / "radar").iterdir())) == 7, "nothing else is left"
    site["asked"].clear()
    fetch(site, tmp_path / "radar")
    assert {path for path, _ in site["asked"]} == {API}, "a second run fetches nothing"


def test_a_download_that_is_cut_off_goes_on_in_the_file(site, tmp_path):
    site["cut"] = 3
    for path in fetch(site, tmp_path):
        assert path.read_bytes() == site["files"][path.name]
    ranges = [wanted for _, wanted in site["asked"] if wanted]
    assert len(ranges) == 3
    assert all(int(wanted[6:-1]) > 2000 for wanted in ranges)


def test_what_arrived_is_kept_for_the_next_run(site, tmp_path):
    site["cut"] = 10**6
    with pytest.raises(DownloadError, match=r"gave up on KNMI after 4 attempts.*goes on where it stopped"):
        fetch(site, tmp_path)
    parts = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert parts
    assert all(name.startswith(".RAD") and name.endswith(".part") for name in parts)
    site["cut"] = 0
    site["asked"].clear()
    for path in fetch(site, tmp_path):
        assert path.read_bytes() == site["files"][path.name]
    assert {f"bytes={size}-" for size in parts.values()} <= {wanted for _, wanted in site["asked"]}


def test_a_busy_service_is_asked_again(site, tmp_path):
    site["busy"] = 2
    assert len(fetch(site, tmp_path)) == 7


def test_other_bytes_are_not_kept(site, tmp_path):
    site["etag"] = '"' + "0" * 32 + '"'
    with pytest.raises(IntegrityError, match="expected MD5 0000"):
        fetch(site, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".h5"]
    site["etag"] = '"0123-4"'  # the sum of parts, which says nothing about the file
    assert len(fetch(site, tmp_path)) == 7


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"key": "bad-key"}, DownloadError, "refuses the API key .401.*KNMI_API_KEY"),
        ({"key": " "}, DownloadError, "wants an API key.*KNMI_API_KEY"),
        ({"product": "reflection"}, NotFoundError, "did you mean 'reflectivity'"),
        ({"product": "accumulation"}, DownloadError, "404"),
        ({"base_url": "http://127.0.0.1:9/v1"}, DownloadError, "cannot reach 127.0.0.1:9"),
        ({"base_url": "ftp://knmi"}, DownloadError, "no web address"),
    ],
)
def test_what_is_wrong_is_said(site, tmp_path, changes, error, words):
    with pytest.raises(error, match=words) as caught:
        fetch(site, tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_a_time_without_files_or_the_wrong_way_round(site, tmp_path):
    options = {"key": "good-key", "base_url": site["url"]}
    with pytest.raises(NotFoundError, match="no reflectivity from 2025"):
        download(datetime(2025, 1, 1), datetime(2025, 1, 2), tmp_path, **options)
    with pytest.raises(SpecError, match="before the start"):
        download(END, START, tmp_path, **options)


def test_the_command(site, tmp_path, monkeypatch):
    monkeypatch.setenv("KNMI_API_KEY", "good-key")
    monkeypatch.setenv("KNMI_API_URL", site["url"])
    times = ["--start", "2024-07-01T12:00", "--end", "2024-07-01T12:10"]
    result = CliRunner().invoke(main, ["data", "download", "knmi", *times, "--folder", str(tmp_path / "radar")])
    assert result.exit_code == 0, result.output
    assert "holds 3 files of KNMI" in result.output
    monkeypatch.setenv("KNMI_API_KEY", "bad-key")
    result = CliRunner().invoke(main, ["data", "download", "knmi", *times])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: KNMI refuses the API key")
    assert open_data.BASE_URL.startswith("https://")
