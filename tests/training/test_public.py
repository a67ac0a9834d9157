"""The fetch of the public frames against a real HTTP server that serves generated ones."""

import hashlib
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelstac.catalog.errors import DownloadError, IntegrityError, StorageError
from modelstac.catalog.messages import Advanced, Started
from modelstac.training.data import read_frames
from modelstac.training.data.public import ATTEMPTS, checksums, fetch
from modelstac.training.data.synthetic import generate


class Server(ThreadingHTTPServer):
    """Serve files from memory; ``fault`` says for a name how the answer goes wrong."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.asked = Counter()
        self.fault = lambda name, attempt: ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/frames"

    def handle_error(self, request, client_address):
        """A client may hang up; that is no noise for the test's output."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked[name] += 1
        fault = self.server.fault(name, self.server.asked[name])
        if fault == "slow":
            time.sleep(1.5)
        if fault.isdigit() or name not in self.server.content:
            self.send_error(int(fault or 404))
            return
        data = self.server.content[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "other":
            self.wfile.write(data[:-1] + bytes([data[-1] ^ 1]))
        else:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    paths = generate(tmp_path / "origin", 12, shape=(16, 16))
    with Server({path.name: path.read_bytes() for path in paths}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def digests(server):
    return {name: hashlib.sha256(data).hexdigest() for name, data in server.content.items()}


def get(server, folder, **options):
    return fetch(folder, base_url=server.url, files=digests(server), pause=0.01, **options)


def assert_one_line(error):
    assert "\n" not in str(error.value)


def test_fetched_files_are_the_served_ones_and_can_be_read(server, tmp_path):
    messages = []
    folder = get(server, tmp_path / "cache", report=messages.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == server.content
    assert read_frames(folder).sizes["time"] == 12
    assert messages[0] == Started("fetch radar files", 12)
    assert sum(isinstance(message, Advanced) for message in messages) == 12


def test_a_second_run_fetches_only_what_is_missing_or_spoilt(server, tmp_path):
    folder = get(server, tmp_path / "cache")
    first, second, *_ = sorted(server.content)
    (folder / first).unlink()
    (folder / second).write_bytes(b"half a fi")
    server.asked.clear()
    get(server, folder)
    assert server.asked == {first: 1, second: 1}
    assert (folder / second).read_bytes() == server.content[second]
    server.asked.clear()
    get(server, folder)
    assert not server.asked


def test_an_interrupted_fetch_keeps_whole_files_and_goes_on(server, tmp_path):
    last = sorted(server.content)[-1]
    server.fault = lambda name, attempt: "404" if name == last else ""
    with pytest.raises(DownloadError, match="404") as error:
        get(server, tmp_path / "cache")
    assert_one_line(error)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    assert kept
    assert kept.items() <= server.content.items()
    server.fault = lambda name, attempt: ""
    server.asked.clear()
    get(server, tmp_path / "cache")
    assert set(server.asked) == set(server.content) - set(kept)


def test_other_bytes_are_refused_and_not_kept(server, tmp_path):
    bad = sorted(server.content)[3]
    server.fault = lambda name, attempt: "other" if name == bad else ""
    with pytest.raises(IntegrityError, match=bad) as error:
        get(server, tmp_path / "cache")
    assert_one_line(error)
    assert digests(server)[bad] in str(error.value)
    assert not list((tmp_path / "cache").glob(f"*{bad}*"))


@pytest.mark.parametrize("fault", ["cut", "503"])
def test_a_passing_fault_is_tried_again(server, tmp_path, fault):
    server.fault = lambda name, attempt: fault if attempt < ATTEMPTS else ""
    folder = get(server, tmp_path / "cache")
    assert len(list(folder.iterdir())) == 12
    assert set(server.asked.values()) == {ATTEMPTS}


@pytest.mark.parametrize(("fault", "words"), [("cut", "connection broke"), ("503", "503"), ("slow", "timed out")])
def test_a_lasting_fault_is_one_line_and_leaves_nothing_half_written(server, tmp_path, fault, words):
    server.fault = lambda name, attempt: fault
    with pytest.raises(DownloadError, match=words) as error:
        get(server, tmp_path / "cache", timeout=0.3)
    assert_one_line(error)
    assert "MODELSTAC_DATA_URL" in str(error.value)
    assert not list((tmp_path / "cache").iterdir())


def test_no_network_is_one_line_at_once(server, tmp_path):
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="refused") as error:
            fetch(tmp_path / "cache", base_url=url, files=digests(server), pause=60)
    assert_one_line(error)


def test_the_environment_names_the_address(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_DATA_URL", server.url + "/")
    fetch(tmp_path / "cache", files=digests(server))
    assert len(list((tmp_path / "cache").iterdir())) == 12
    monkeypatch.setenv("MODELSTAC_DATA_URL", "file:///etc/")
    with pytest.raises(DownloadError, match="no web address"):
        fetch(tmp_path / "cache", files=digests(server))


def test_a_folder_that_cannot_be_made_is_a_storage_error(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="create"):
        get(server, tmp_path / "file" / "cache")


def test_the_pinned_checksums_are_those_of_the_public_frames(knmi_folder):
    pinned = checksums()
    assert len(pinned) == 92
    assert pinned == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in knmi_folder.glob("*.h5")}
