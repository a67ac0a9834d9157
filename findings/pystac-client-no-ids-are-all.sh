#!/usr/bin/env bash
# Which:    pystac-client 0.9.1 (ItemSearch, Client.search), with pystac 1.15.2.
# What:     a search for the ids of an empty list is a search for everything; that for an empty iterator is not.
# Expected: ids=[] finds nothing, or says that it asks for nothing: the ids are those that a program wants to have, and
#           sometimes there are none. Whatever is meant, a list and an iterator over it ask for the same.
# Seen:     ids=[], ids=() and ids="" are left out of the request, so that all items of the API are found (here three);
#           ids=iter([]) sends "ids": [], which a server that reads it as it is answers with nothing. A set() is sent
#           as [] as well.
# Who:      whoever asks for what is still missing (search(ids=[i for i in wanted if i not in have])): once nothing is
#           missing, all of the catalog comes, without a word, and is taken for what was asked for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pystac-client==0.9.1 pystac==1.15.2
cat > "$folder/show.py" <<'PY'
import http.server
import importlib.metadata
import json
import threading

from pystac_client.item_search import ItemSearch

KEPT = ["a", "b", "c"]
bodies = []


def feature(name):
    item = {"type": "Feature", "stac_version": "1.1.0", "id": name, "geometry": None}
    return item | {"properties": {}, "links": [], "assets": {}}


class Search(http.server.BaseHTTPRequestHandler):
    """A search that reads its body as it is: items whose id is among the ids, where these are given."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bodies.append(body)
        found = [feature(name) for name in KEPT if "ids" not in body or name in body["ids"]]
        answer = json.dumps({"type": "FeatureCollection", "features": found, "links": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Search)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/search"
print("pystac-client", importlib.metadata.version("pystac-client"))
found = {}
for name, ids in (("['b']", ["b"]), ("[]", []), ("()", ()), ("''", ""), ("iter([])", iter([])), ("set()", set())):
    found[name] = [item["id"] for item in ItemSearch(address, ids=ids).items_as_dicts()]
    print(f"ids={name:9} sent {bodies[-1]}, found {found[name]}")
server.shutdown()
assert found["['b']"] == ["b"]
assert found["[]"] == found["()"] == found["''"] == KEPT
assert found["iter([])"] == found["set()"] == []
print("seen: no ids in a list find everything, no ids in an iterator nothing")
PY
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
