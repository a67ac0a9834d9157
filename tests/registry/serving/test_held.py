"""What a small request may make the server hold."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pystac
import pytest

from modelstac.catalog.errors import DataError
from modelstac.registry.serving.app import _OF_A_NUMBER, _OF_OTHERS, _Infer
from modelstac.registry.serving.memory import Memory
from modelstac.registry.serving.protocol import read_request
from modelstac.registry.serving.serve import with_local_files
from modelstac.registry.serving.tensors import from_json


@pytest.mark.parametrize("data", [["a" * 50_000] + [""] * 200, [["a" * 50_000, 1.0]] * 100, [[1.0], ["a"]]])
def test_texts_are_refused_before_an_array_is_made_of_them(data: Any) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="not all numbers"):
            from_json("x", "FP32", [len(data)], data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("one", [b'{"a":1}', b"{}", b"[]", b'"ab"', b"1.5", b"[[1]]", b'{"a":{"b":[""]}}'])
def test_json_is_counted_as_what_it_takes(one: bytes) -> None:
    text = b"[" + b",".join([one] * 20_000) + b"]"
    counted = _OF_A_NUMBER * len(text) + sum(count * text.count(sign) for sign, count in _OF_OTHERS.items())
    tracemalloc.start()
    try:
        _read = orjson.loads(text)
        assert tracemalloc.get_traced_memory()[0] <= counted
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "odd",
    [{"name": "x" * 100_000}, {"shape": [7] * 100_000}, {"datatype": ["x" * 9_000] * 9_000}, {"datatype": "x" * 9_000}],
)
def test_a_large_value_that_is_refused_is_not_said_whole(odd: dict[str, Any]) -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]} | odd
    body = orjson.dumps({"inputs": [tensor]})
    with pytest.raises(DataError) as found:
        read_request(body, len(body))
    assert len(str(found.value)) < 400


@pytest.mark.parametrize("stalls", [False, True])
def test_an_answer_goes_in_pieces_and_a_client_that_stalls_is_given_up(stalls: bool) -> None:
    memory, sent = Memory(1 << 30), list[int]()
    large = memoryview(bytes(5 << 20))

    async def infer(_request: Any, share: Any) -> Any:
        share.take(len(large))
        return [], [b"{}", large]

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            sent.append(len(message["body"]))
            assert memory.held == len(large)
            if stalls and len(sent) > 2:
                await asyncio.Event().wait()

    async def asked() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        await _Infer(infer, memory, 0.05)(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]

    asyncio.run(asked())
    assert max(sent) <= 1 << 20
    assert sum(sent) == len(large) + 2 or stalls
    assert memory.held == 0


@pytest.mark.parametrize("named", ["%2e%2e/%2e%2e/secret", "%2Fetc%2Fsecret", "../../secret", f"aa/{'b' * 63}/x", "x"])
def test_an_address_that_leads_out_of_the_folder_of_artifacts_stays_an_address(tmp_path: Path, named: str) -> None:
    digest, start = "ab" * 32, "http://127.0.0.1:8000/artifacts/"
    hrefs = {"model": f"{start}ab/{digest}/model%20a.onnx", "other": start + named}
    item = pystac.Item("x", None, None, datetime(2026, 1, 1, tzinfo=UTC), {})
    for key, href in hrefs.items():
        item.add_asset(key, pystac.Asset(href))
    found = with_local_files(item, "http://127.0.0.1:8000", str(tmp_path))
    assert found.assets["model"].href == (tmp_path / "ab" / digest / "model a.onnx").as_uri()
    assert found.assets["other"].href == hrefs["other"]
