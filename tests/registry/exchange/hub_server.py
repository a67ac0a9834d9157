"""A stand-in for the Hugging Face Hub: as much of its API as the client asks for, over HTTP on loopback.

Source: what huggingface_hub 2.4 sends and expects, and https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

LARGE = (".onnx", ".keras", ".safetensors", ".npy", ".pt2", ".bin")
HEADER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


class Hub:
    """Repositories, each a list of commits: digest, and files by path."""

    def __init__(self) -> None:
        self.repositories: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.branches: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self.private: set[str] = set()
        self.failing: tuple[int, dict[str, str]] | None = None
        self.files_fail: int | None = None
        self.answer: Any = None  # to whoever asks for a model
        self.asked: list[str] = []
        self.listed: dict[str, str] = {}  # digests that are told wrongly, by path
        self.url = self.files = ""

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        commits = self.repositories.setdefault(name, [])
        before = commits[-1][1] if commits else {}
        found = before | files
        digest = hashlib.sha1(repr(sorted(found.items())).encode() + str(len(commits)).encode()).hexdigest()
        commits.append((digest, found))
        return digest

    def find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.repositories[name]
        if revision == "main":
            return commits[-1] if commits else ("0" * 40, {})
        revision = self.branches.get(revision, revision)
        return next((one for one in commits if one[0] == revision), None)


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

    @property
    def hub(self) -> Hub:
        found: Hub = self.server.hub
        return found

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_all(self) -> None:
        path = self.path.partition("?")[0]
        body = self.read()
        self.hub.asked.append(f"{self.command} {path} {self.headers.get('Authorization')}")
        if self.hub.failing is not None:
            status, headers = self.hub.failing
            self.answer({"error": "no"}, status, **headers)
            return
        for pattern, verb in (
            (r"/api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?", self.info),
            (r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", self.resolve),
            (r"/cdn/(?P<oid>\w+)", self.cdn),
            (r"/api/repos/create", self.create),
            (r"/api/models/(?P<name>[^/]+/[^/]+)/preupload/main", self.preupload),
            (r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
            (r"/lfs/(?P<oid>\w+)", self.upload),
            (r"/api/models/(?P<name>[^/]+/[^/]+)/commit/main", self.commit),
            (r"/api/validate-yaml", self.validate),
        ):
            if (match := re.fullmatch(pattern, path)) is not None:
                verb(body, **match.groupdict())
                return
        self.error(404, "EntryNotFound")

    do_GET = do_POST = do_PUT = do_HEAD = handle_all  # noqa: N815 - the standard library's names

    def known(self, name: str) -> bool:
        if name not in self.hub.repositories or (
            name in self.hub.private and self.headers.get("Authorization") != "Bearer hf_secret"
        ):
            # The Hub says of both that it is not there, and 401 to whoever has no token.
            self.error(401 if self.headers.get("Authorization") is None else 404, "RepoNotFound")
            return False
        return True

    def info(self, _: bytes, name: str, revision: str | None) -> None:
        if self.hub.answer is not None:
            self.answer(self.hub.answer)
            return
        if not self.known(name):
            return
        found = self.hub.find(name, revision or "main")
        if found is None:
            self.error(404, "RevisionNotFound")
            return
        commit, files = found
        siblings = []
        for path, data in files.items():
            one: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": blob(data)}
            if path.endswith(LARGE):
                digest = self.hub.listed.get(path, hashlib.sha256(data).hexdigest())
                one["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
            siblings.append(one)
        match = HEADER.match(files.get("README.md", b"").decode())
        card = yaml.safe_load(match[1]) if match else {}
        tags = [*card.get("tags", ()), f"license:{card.get('license', 'unknown')}", "region:us"]
        document = {"_id": "1", "id": name, "modelId": name, "sha": commit, "private": name in self.hub.private}
        document |= {"tags": tags, "siblings": siblings, "cardData": card, "gated": False, "downloads": 0, "likes": 0}
        self.answer(document | ({"pipeline_tag": card["pipeline_tag"]} if "pipeline_tag" in card else {}))

    def resolve(self, _: bytes, name: str, revision: str, file: str) -> None:
        if self.hub.files_fail is not None:
            self.answer({"error": "no"}, self.hub.files_fail)
            return
        if not self.known(name):
            return
        found = self.hub.find(name, revision)
        if found is None or file not in found[1]:
            self.error(404, "RevisionNotFound" if found is None else "EntryNotFound")
            return
        commit, data = found[0], found[1][file]
        if not file.endswith(LARGE):
            self.answer(data, ETag=f'"{blob(data)}"', X_Repo_Commit=commit)
            return
        digest = hashlib.sha256(data).hexdigest()
        self.hub.objects[digest] = data
        headers = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": str(len(data)), "X_Repo_Commit": commit}
        self.answer(b"", 302, Location=f"{self.hub.files}/cdn/{digest}", **headers)

    def cdn(self, _: bytes, oid: str) -> None:
        self.answer(self.hub.objects[oid], ETag=f'"{oid}"')

    def create(self, body: bytes) -> None:
        if self.headers.get("Authorization") is None:
            self.error(401, "Unauthorized")
            return
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            self.answer({"error": "exists", "url": f"{self.hub.url}/{name}"}, 409)
            return
        self.hub.repositories[name] = []
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        self.answer({"url": f"{self.hub.url}/{name}", "name": name, "id": "1"})

    def preupload(self, body: bytes, name: str) -> None:
        if self.known(name):
            found = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular"}
                for one in json.loads(body)["files"]
            ]
            self.answer({"files": [one | {"shouldIgnore": False, "oid": None} for one in found], "commitOid": "0" * 40})

    def batch(self, body: bytes, name: str) -> None:
        objects = [
            {
                "oid": one["oid"],
                "size": one["size"],
                "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}},
            }
            for one in json.loads(body)["objects"]
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self.answer({})

    def commit(self, body: bytes, name: str) -> None:
        files = {}
        for line in body.decode().splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                files[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            elif one["key"] == "lfsFile":
                files[one["value"]["path"]] = self.hub.objects[one["value"]["oid"]]
        digest = self.hub.commit(name, files)
        url = f"{self.hub.url}/{name}/commit/{digest}"
        self.answer({"success": True, "commitOid": digest, "commitUrl": url})

    def validate(self, _: bytes) -> None:
        self.answer({"errors": [], "warnings": []})


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found: Any = server
        found.hub = hub
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        hub.files = hub.url.replace("127.0.0.1", "localhost")  # large files lie on another host
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
