"""schemathesis over the whole API, by its OpenAPI document and with a key: whatever is asked, no answer is a 5xx.

A long run: ``MODELSTAC_FUZZ=300 pytest tests/catalog/server/test_fuzz.py``, the number of examples of every operation.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case
from tests.catalog.conftest import Describe
from tests.catalog.server.conftest import Server

from modelstac.catalog.backends.api.catalog import ApiCatalog
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.testing import TORCH

EXAMPLES = int(os.environ.get("MODELSTAC_FUZZ", "6"))
# Without these nearly every address would be one that nothing has.
KNOWN = {"collection_id": "convlstm-knmi", "item_id": TORCH, "shard": "ab", "digest": "ab" * 32, "name": "model.bin"}


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def changed(document: Any, data: st.DataObject) -> Any:
    """Return what is published, with one part of it replaced by anything."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
        max_leaves=4,
    )
    result, place = dict(document), data.draw(st.sampled_from(sorted(document)))
    if place == "properties":
        inner = dict(document["properties"])
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(anything)
        return result | {"properties": inner}
    return result | {place: data.draw(anything)}


def test_no_answer_is_a_5xx(server: Server, describe: Describe) -> None:
    ApiCatalog(server.href, key=server.key).publish(write_item(describe()))
    documents = {
        "items": server.get(f"collections/convlstm-knmi/items/{TORCH}").json(),
        "collections": server.get("collections/convlstm-knmi").json(),
    }
    schema = schemathesis.openapi.from_url(f"{server.href}/api")
    statuses: dict[int, int] = {}
    limits = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    headers = {"Authorization": f"Bearer {server.key}"}
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(20)
        @limits
        @given(case=operation.as_strategy(), data=st.data())
        def ask(case: Case, data: st.DataObject) -> None:
            for name in case.path_parameters:
                if name in KNOWN and data.draw(st.integers(0, 3)):
                    case.path_parameters[name] = KNOWN[name]
            if case.method.upper() in {"POST", "PUT"} and "collections" in case.path and data.draw(st.booleans()):
                case.body = changed(documents["items" if "items" in case.path else "collections"], data)
            if case.path == "/bulk_items" and data.draw(st.booleans()):
                case.body = [changed(documents["items"], data) for _ in range(3)]
            if case.method.upper() == "DELETE" and "item_id" not in case.path_parameters:
                case.path_parameters["collection_id"] = "nobody"  # or all later requests would find nothing
            answer = case.call(headers=headers)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, (answer.status_code, case.as_curl_command()[:1500])

        ask()
    # It came through to the handlers, and not only to the refusals.
    assert {200, 400, 404} <= statuses.keys(), statuses
    assert server.get("search").status_code == server.get("collections").status_code == 200
