"""stac-auth-proxy as in the compose file, in front of our server: reading is open, writing needs a token of OIDC."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.catalog.server.conftest import ROOT, STARTED_WITHIN, own_environment, serving
from tests.catalog.server.postgres import free_port

from modelstac.catalog.items.collections.widening import new_collection, widened
from modelstac.catalog.items.documents import stored_collection
from modelstac.catalog.testing import Examples

CONTENT = b"a file that no item names"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ARTIFACT = f"artifacts/{DIGEST[:2]}/{DIGEST}/model.bin"


class Provider:
    """An OpenID Connect provider: what it says of itself, its keys, and tokens signed by them."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})
        self.href = ""

    def documents(self) -> dict[str, Any]:
        about = {"issuer": self.href, "jwks_uri": f"{self.href}/jwks", "token_endpoint": f"{self.href}/token"}
        about |= {
            "authorization_endpoint": f"{self.href}/authorize",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return {
            "/.well-known/openid-configuration": about,
            "/jwks": {"keys": [self.key.as_dict(private=False)]},
        }

    def token(self, key: RSAKey | None = None, *, lifetime: int = 600) -> str:
        now = int(time.time())
        claims = {"iss": self.href, "sub": "somebody", "iat": now, "exp": now + lifetime}
        return jwt.encode({"alg": "RS256", "kid": "test"}, claims, key or self.key)


@contextmanager
def provided() -> Iterator[Provider]:
    found = Provider()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(found.documents().get(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.href = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@contextmanager
def proxied(folder: Path, upstream: str, provider: Provider) -> Iterator[str]:
    """Run the proxy with the settings of the compose file."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["auth"]
    version = service["image"].rpartition(":v")[2]
    python = own_environment(folder, f"stac-auth-proxy=={version}")
    port = free_port()
    variables = service["environment"] | {
        "UPSTREAM_URL": upstream,
        "OIDC_DISCOVERY_URL": f"{provider.href}/.well-known/openid-configuration",
        "PORT": str(port),
    }
    variables = {name: value.replace("$$", "$") for name, value in variables.items()}
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen([python, "-m", "stac_auth_proxy"], env=variables, stdout=log, stderr=log)
    try:
        end = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/healthz", timeout=STARTED_WITHIN)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "proxy.log").read_text()
                assert time.monotonic() < end, (folder / "proxy.log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Provider]]:
    folder = tmp_path_factory.mktemp("auth")
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["api-behind-auth"]
    writes = service["environment"]["MODELSTAC_WRITES"]
    with (
        serving(folder, "--catalog", str(folder / "models.sqlite"), MODELSTAC_WRITES=writes) as server,
        provided() as provider,
        proxied(folder, server.href, provider) as href,
    ):
        yield href, provider


def test_reading_is_open_and_writing_needs_a_token(services: tuple[str, Provider], tmp_path: Path) -> None:
    href, provider = services
    item = Examples(tmp_path).item()
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    for asset in document["assets"].values():
        asset["href"] = "https://example.org/model.bin"
    name = str(item.collection_id)
    collection = stored_collection(widened(new_collection(name, document["properties"]), document))
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "collections", {"json": collection}),
        ("POST", f"collections/{name}/items", {"json": document}),
        ("PATCH", f"collections/{name}", {"json": {"title": "Changed"}}),
        ("PUT", ARTIFACT, {"data": CONTENT}),
        ("DELETE", f"collections/{name}/items/{item.id}", {}),
    ]
    strange = [None, "nonsense", provider.token(RSAKey.generate_key(2048)), provider.token(lifetime=-600)]
    for method, path, options in writes:
        for token in strange:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = requests.request(method, f"{href}/{path}", headers=headers, timeout=30, **options)
            assert answer.status_code in {401, 403}, (method, path, token, answer.status_code, answer.text)
    for method, path, options in writes:
        headers = {"Authorization": f"Bearer {provider.token()}"}
        answer = requests.request(method, f"{href}/{path}", headers=headers, timeout=30, **options)
        assert answer.status_code in {200, 201, 204}, (method, path, answer.status_code, answer.text)
    for method, path in (("GET", ""), ("GET", "collections"), ("GET", f"collections/{name}"), ("GET", ARTIFACT)):
        assert requests.request(method, f"{href}/{path}", timeout=30).status_code == 200, path
    for path in ("search", "aggregate"):
        assert requests.post(f"{href}/{path}", json={}, timeout=30).status_code == 200, path
