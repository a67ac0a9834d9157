#!/usr/bin/env bash
# Which:    stac-fastapi 7.0.0 (stac-fastapi-api, -types, -extensions), whose transaction routes every backend has.
# What:     PATCH of a collection with a JSON merge patch (RFC 7396), as the Transaction extension has it.
# Expected: what the patch says is merged; what the server does not take is refused.
# Seen:     every member outside a list of 13 is left out before the backend sees it, and the answer is 200: item_assets, which
#           is core in STAC 1.1, cube:dimensions, sci:doi and whatever else an extension has. links, which are a list, are
#           refused, since the model takes an object. The same by PUT, or by a JSON patch (RFC 6902), arrives whole.
# Who:      whoever changes item_assets or extension fields of a collection by PATCH, and takes 200 for done.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet stac-fastapi-api==7.0.0 stac-fastapi-types==7.0.0 stac-fastapi-extensions==7.0.0 httpx==0.28.1
cat > "$folder/show.py" <<'PY'
import sys
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from stac_fastapi.extensions.transaction import BaseTransactionsClient, TransactionExtension
from stac_fastapi.types.config import ApiSettings

print("stac-fastapi-extensions", version("stac-fastapi-extensions"))
SEEN = []


class Backend(BaseTransactionsClient):
    """Keeps nothing but what arrives."""

    def patch_collection(self, collection_id, patch, **_):
        SEEN.append([one.model_dump() for one in patch] if isinstance(patch, list) else patch.model_dump())
        return {}

    def update_collection(self, collection_id, collection, **_):
        SEEN.append(collection if isinstance(collection, dict) else collection.model_dump(exclude_unset=True))
        return {}

    def _other(self, *_, **__):
        raise NotImplementedError

    create_item = update_item = patch_item = delete_item = create_collection = delete_collection = _other


app = FastAPI()
app.state.router_prefix = ""
TransactionExtension(client=Backend(), settings=ApiSettings(), response_class=JSONResponse).register(app)
client = TestClient(app, raise_server_exceptions=False)


def patched(patch):
    SEEN.clear()
    kind = "application/json-patch+json" if isinstance(patch, list) else "application/merge-patch+json"
    answer = client.patch("/collections/c", json=patch, headers={"Content-Type": kind})
    arrived = SEEN[0] if SEEN else "nothing"
    print(answer.status_code, str(patch)[:70].ljust(70), "arrives as", str(arrived)[:80])
    return answer.status_code, arrived


found = [
    patched({"item_assets": {"visual": {"roles": ["data"]}}}),
    patched({"title": "New", "sci:doi": "10.5061/dryad.s2v81"}),
    patched({"cube:dimensions": None}),
    patched({"links": [{"rel": "license", "href": "https://example.org"}]}),
    patched([{"op": "add", "path": "/sci:doi", "value": "10.5061/dryad.s2v81"}]),
]
EXTENT = {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}}
whole = {"type": "Collection", "stac_version": "1.1.0", "id": "c", "description": "d", "license": "other", "links": []}
SEEN.clear()
client.put("/collections/c", json=whole | {"extent": EXTENT, "sci:doi": "10.5061/dryad.s2v81"})
print("PUT arrives with", sorted(SEEN[0]))
described = (
    [arrived for _, arrived in found[:3]] == [{}, {"title": "New"}, {}]
    and all(status < 300 for status, _ in found[:3])
    and found[3] == (found[3][0], "nothing")
    and found[3][0] >= 400
    and found[4][1][0]["path"] == "/sci:doi"
    and SEEN[0]["sci:doi"] == "10.5061/dryad.s2v81"
)
print("as described" if described else "changed")
sys.exit(not described)
PY
"$folder/venv/bin/python" "$folder/show.py"
