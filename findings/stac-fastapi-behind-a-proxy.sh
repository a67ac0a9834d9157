#!/usr/bin/env bash
# Which:    stac-fastapi-api 7.0.0, whose ProxyHeaderMiddleware every application gets that names no middlewares.
# What:     requests as reverse proxies send them on: with Host or X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Port,
#           or Forwarded (RFC 7239).
# Expected: the links of the answer begin with the address that the client asked.
# Seen:     a port in Host is lost as soon as X-Forwarded-Proto is there; host with a port and X-Forwarded-Port give
#           it twice, which is no address, and the link is that of the server within; of several proxies in Forwarded the
#           last, inner one counts. An address that was right, X-Forwarded-Host with its port alone, stays so.
# Who:      whoever shows a STAC API on another port than 443 behind nginx (Host "$http_host" and X-Forwarded-Proto),
#           or behind two proxies: clients read the first page, and "next" leads elsewhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet stac-fastapi-api==7.0.0 stac-fastapi-types==7.0.0 httpx==0.28.1
cat > "$folder/show.py" <<'PY'
import sys
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from stac_fastapi.api.middleware import ProxyHeaderMiddleware

print("stac-fastapi-api", version("stac-fastapi-api"))
app = FastAPI()
app.add_middleware(ProxyHeaderMiddleware)


@app.get("/search")
def search(request: Request):
    return str(request.url)


client = TestClient(app, base_url="http://inner:8080")
CASES = [
    ({"Host": "stac.example.org:8443", "X-Forwarded-Proto": "https"}, "https://stac.example.org"),
    (
        {"X-Forwarded-Host": "stac.example.org:8443", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"},
        None,
    ),
    ({"Forwarded": 'proto=https;host="stac.example.org", proto=http;host=inner'}, "http://inner"),
    ({"X-Forwarded-Host": "stac.example.org:8443", "X-Forwarded-Proto": "https"}, "https://stac.example.org:8443"),
]
described = True
for headers, seen in CASES:
    found = client.get("/search", headers=headers).json().removesuffix("/search")
    print(str(headers).ljust(120), found)
    described &= found == seen if seen else not found.startswith("https://stac.example.org:8443")
print("as described" if described else "changed")
sys.exit(not described)
PY
"$folder/venv/bin/python" "$folder/show.py"
