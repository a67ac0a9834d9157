"""A server of several models, asked by Triton's own client and by requests: what it says, gives and refuses."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tests.catalog.server.conftest import Server
from tests.registry import pairs
from tests.registry.serving.conftest import infer, predicting, tensor

from modelstac.catalog.base import Catalog
from modelstac.registry.serving.tensors import from_json

PAIR, TIMES, KINDS, SHARE = "pair-1.0.0-onnx", "times@champion", "kinds-1.0.0-onnx", "share-1.0.0-onnx"
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def server(folder: Path, catalog: Catalog) -> Iterator[Server]:
    names = (PAIR, TIMES, "times-3.0.0-onnx", KINDS, SHARE, "slow-1.0.0-onnx")
    with predicting(folder, catalog, *names, MODELSTAC_PREDICT_MAX_BODY="100000") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.href.removeprefix("http://")) as found:
        yield found


def given(name: str, array: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_the_client_of_triton_runs_a_model_of_several_inputs(
    client: triton.InferenceServerClient, binary: bool, packed: str | None
) -> None:
    arrays, expected = pairs.example(3)
    inputs = [given(name, arrays[name], "FP32", binary=binary) for name in ("s2", "s1")]
    found = client.infer(PAIR, inputs, request_id="seven", request_compression_algorithm=packed)
    for name, array in expected.items():
        np.testing.assert_allclose(found.as_numpy(name), array, atol=1e-6)
    assert found.get_response()["id"] == "seven"
    wanted = [triton.InferRequestedOutput("height", binary_data=binary)]
    found = client.infer(PAIR, inputs, outputs=wanted)
    np.testing.assert_allclose(found.as_numpy("height"), expected["height"], atol=1e-6)
    assert found.as_numpy("mask") is None


def test_the_client_of_triton_reads_what_there_is(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(PAIR)
    assert client.is_model_ready("times", "champion")
    assert not client.is_model_ready("time")
    assert client.get_server_metadata()["name"] == "modelstac"
    said = client.get_model_metadata(PAIR)
    assert said["versions"] == ["1.0.0"]
    assert said["platform"] == "onnx_onnx"
    assert [(t["name"], t["datatype"], t["shape"]) for t in said["inputs"]] == [
        ("s1", "FP32", [-1, -1, -1, 1]),
        ("s2", "FP32", [-1, -1, -1, 3]),
    ]
    assert said["outputs"][0]["parameters"] == {"dim_order": "batch,height,width,bands"}
    assert ("times@champion", "2.0.0", "READY") in [
        (one["name"], one["version"], one["state"]) for one in client.get_model_repository_index()
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_types_of_numbers_go_both_ways(client: triton.InferenceServerClient, binary: bool) -> None:
    n = np.array([[-300, 0, 7]], np.int16)
    f = np.array([[1.0, 0.1, 1e-300]])
    inputs = [given("n", n, "INT16", binary=binary), given("f", f, "FP64", binary=binary)]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("u", "d")]
    found = client.infer(KINDS, inputs, outputs=outputs)
    np.testing.assert_array_equal(found.as_numpy("u"), n)
    assert found.as_numpy("u").dtype == np.int64
    np.testing.assert_array_equal(found.as_numpy("d"), np.log(f))
    half = client.infer(KINDS, inputs, outputs=[triton.InferRequestedOutput("y")])
    np.testing.assert_array_equal(half.as_numpy("y"), n.astype(np.float16))


def test_plain_json(server: Server) -> None:
    found = infer(server, TIMES, tensor("x", X))
    assert found.headers["content-type"] == "application/json"
    assert found.json() == {
        "model_name": "times@champion",
        "model_version": "2.0.0",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 8.0]}],
    }
    nested = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": X.tolist()}
    assert infer(server, TIMES, nested).json() == found.json()
    doubles = tensor("x", X, "FP64")
    assert infer(server, TIMES, doubles).json() == found.json()


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("times-3.0.0-onnx", "3.0.0"),
        ("times@champion", "2.0.0"),
        ("times%40champion", "2.0.0"),
        ("times/versions/champion", "2.0.0"),
        ("times/versions/3.0.0", "3.0.0"),
        ("times", "2.0.0"),  # of two, the champion
        ("times/times-3.0.0-onnx", "3.0.0"),  # as --predict may name it, and the index then does
        ("times%2Ftimes-3.0.0-onnx", "3.0.0"),
        ("times/times-3.0.0-onnx/versions/3.0.0", "3.0.0"),
        ("pair", None),
    ],
)
def test_a_model_is_named_by_item_alias_and_version(server: Server, path: str, version: str | None) -> None:
    if version is not None:
        assert infer(server, path, tensor("x", X)).json()["model_version"] == version
    assert server.get(f"v2/models/{path}/ready").json()["ready"] is True
    assert server.get(f"v2/models/{path}").json()["versions"] == [version or "1.0.0"]


def test_unknown_names_are_404_and_other_methods_405(server: Server) -> None:
    for path in ("v2/models/time", "v2/models/times/versions/4.0.0", "v2/models/times/versions/x/ready", "v2/odd"):
        answer = server.get(path)
        assert answer.status_code == 404
        assert list(answer.json()) == ["error"]
    assert "times@champion" in server.get("v2/models/time").json()["error"]
    answer = server.get(f"v2/models/{TIMES}/infer")
    assert (answer.status_code, list(answer.json())) == (405, ["error"])


def bad(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (tensor("x", X) | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "no JSON"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [NaN, 1]}]}', "NaN and Infinity"),
        ("[]", "the body: an object"),
        ("[" * 5000, "no JSON"),
        ("{}", "'inputs': a list"),
        ({"inputs": [3]}, "inputs[0]: an object"),
        ({"inputs": []}, "needs the input x"),
        ({"inputs": [bad(), bad()]}, "given twice"),
        ({"inputs": [bad(name="z")]}, "no input 'z'"),
        ({"inputs": [bad(name=...)]}, "has no name"),
        ({"inputs": [bad(datatype="BYTES")]}, "'BYTES'"),
        ({"inputs": [bad(shape=[2, -1])]}, "whole numbers from 0"),
        ({"inputs": [bad(shape=...)]}, "shape None"),
        ({"inputs": [bad(shape=[0, 1 << 90], data=[])]}, "whole numbers from 0"),
        ({"inputs": [bad(shape=[1 << 20, 0], data=[])]}, "found shape [1048576, 0]"),
        ({"inputs": [bad(shape=[4])]}, "float32 (batch"),
        ({"inputs": [bad(shape=[1, 3], data=[1.0, 2.0, 3.0])]}, "feature 2"),
        ({"inputs": [bad(shape=[0, 2], data=[])]}, "found shape [0, 2]"),
        ({"inputs": [bad(data=[1.0])]}, "of shape [2, 2]; found data of shape [1]"),
        ({"inputs": [bad(data=...)]}, "found no list of data"),
        ({"inputs": [bad(data=[[1.0], [2.0, 3.0]])]}, "unequal lengths"),
        ({"inputs": [bad(data=["1", "2", "3", "4"])]}, "not all numbers"),
        ({"inputs": [bad(data=[None, 1, 2, 3])]}, "not all numbers"),
        ({"inputs": [bad(data=[True, False, True, True])]}, "not all numbers"),
        ({"inputs": [bad(data=[True, 2.5, 1.0, 1.0])]}, "nor is true a number"),
        ({"inputs": [bad(data=[1e39, 0, 0, 0])]}, "NaN or infinite"),
        ({"inputs": [bad(datatype="INT8", data=[1, 2, 3, 4])]}, "is FP32, and was sent as INT8: send FP32"),
        ({"inputs": [bad(parameters={"binary_data_size": 16})]}, "0 bytes are left"),
        ({"inputs": [bad(parameters={"shared_memory_region": "r"})]}, "shared_memory_region"),
        ({"inputs": [bad()], "outputs": [{"name": "z"}]}, "no output 'z'"),
        ({"inputs": [bad()], "outputs": [{"name": "y"}, {"name": "y"}]}, "asked for twice"),
        ({"inputs": [bad()], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "true or false"),
        ({"inputs": [bad()], "id": 7}, "id: a text"),
        ({"inputs": [bad()], "outputs": {}}, "'outputs': a list"),
        ({"inputs": [bad()], "parameters": {"sequence_id": 7, "sequence_start": True}}, "one of a sequence"),
    ],
)
def test_what_is_no_request_is_told_in_one_line(server: Server, body: Any, words: str) -> None:
    data = body if isinstance(body, str) else json.dumps(body)
    answer = server.request("POST", f"v2/models/{TIMES}/infer", data=data)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("datatype", "data", "words"),
    [
        ("INT16", [1, 2, 40000], "do not fit into INT16"),
        ("INT16", [1, 2, 2.5], "not all whole numbers"),
        ("INT16", [1, 2, 1 << 70], "not all whole numbers"),
        ("UINT8", [-1, 2, 3], "do not fit into UINT8"),
        ("INT16", [True, 2, 3], "not all whole numbers"),
        ("INT64", [-1, 1 << 63, 0], "do not fit into INT64"),
    ],
)
def test_whole_numbers_are_not_rounded(server: Server, datatype: str, data: list[Any], words: str) -> None:
    n = {"name": "n", "datatype": datatype, "shape": [1, 3], "data": data}
    answer = infer(server, KINDS, n, tensor("f", np.ones((1, 3)), "FP64"))
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_whole_numbers_of_64_bits_are_read_to_the_last_digit() -> None:
    large = [1 << 63, 1, (1 << 64) - 1]  # of which NumPy alone makes floats
    assert from_json("n", "UINT64", [3], large).tolist() == large
    assert from_json("n", "INT64", [2, 1], [[-1 << 63], [(1 << 63) - 1]]).tolist() == [[-1 << 63], [(1 << 63) - 1]]


def test_what_may_be_left_out_may_be_null(server: Server) -> None:
    given = tensor("x", np.ones((1, 2))) | {"parameters": None}
    answer = infer(server, TIMES, given, parameters=None, outputs=None, id=None)
    assert answer.ok, answer.text
    assert "id" not in answer.json()


def test_results_that_json_cannot_hold_come_as_bytes(server: Server, client: triton.InferenceServerClient) -> None:
    n, f = np.zeros((1, 3), np.int16), np.zeros((1, 3))
    answer = infer(server, KINDS, tensor("n", n, "INT16"), tensor("f", f, "FP64"), outputs=[{"name": "d"}])
    assert answer.status_code == 400
    assert "3 of 3 values NaN or infinite" in answer.json()["error"]
    found = client.infer(KINDS, [given("n", n, "INT16"), given("f", f, "FP64")])
    assert np.isneginf(found.as_numpy("d")).all()


def post(server: Server, data: bytes, **headers: str) -> requests.Response:
    return server.request("POST", f"v2/models/{TIMES}/infer", data=data, headers=headers)


def test_broken_bytes(server: Server) -> None:
    said = bad(data=..., parameters={"binary_data_size": 16})
    head = json.dumps({"inputs": [said]}).encode()
    nan = np.full((2, 2), np.nan, np.float32).tobytes()
    for data, length, words in [
        (head + X.tobytes()[:12], len(head), "12 bytes are left"),
        (head + X.tobytes() + b"more", len(head), "4 bytes are left after the last"),
        (head + X.tobytes(), 10_000, "it is the JSON's length"),
        (head + X.tobytes(), "-1", "it is the JSON's length"),
        (head + X.tobytes(), "9" * 5_000, "it is the JSON's length"),
        (head + X.tobytes(), 3, "no JSON"),
        (head + nan, len(head), "4 of 4 values NaN"),
    ]:
        answer = post(server, data, **{LENGTH: str(length)})
        assert answer.status_code == 400
        assert words in answer.json()["error"]
    assert post(server, head + X.tobytes(), **{LENGTH: str(len(head))}).ok
    for coding, data in (("gzip", b"no gzip"), ("gzip", gzip.compress(head)[:-9]), ("br", head)):
        assert post(server, data, **{"Content-Encoding": coding}).status_code == 400


def test_nothing_of_a_packed_body_is_left_unread(server: Server) -> None:
    body = json.dumps({"inputs": [tensor("x", X)]}).encode()
    for coding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        assert post(server, pack(body), **{"Content-Encoding": coding}).ok
        for rest in (b"more", pack(body), pack(b"")):
            answer = post(server, pack(body) + rest, **{"Content-Encoding": coding})
            assert answer.status_code == 400
            assert f"{len(rest)} bytes after it" in answer.json()["error"]


def test_too_much_is_refused_however_it_is_sent(server: Server) -> None:
    large = b" " * 200_000
    declared = post(server, large)
    assert (declared.status_code, list(declared.json())) == (413, ["error"])
    in_chunks = server.request("POST", f"v2/models/{TIMES}/infer", data=iter([large[:90_000], large]))
    assert in_chunks.status_code == 413
    bomb = post(server, gzip.compress(b" " * 50_000_000), **{"Content-Encoding": "gzip"})
    assert bomb.status_code == 413


def test_many_at_once_each_get_their_own(server: Server) -> None:
    """Also beside one that is refused, and where samples are not apart."""

    def ask(number: int) -> tuple[int, Any]:
        x = np.full((1 + number % 3, 2), float(number))
        x[-1, -1] = 2 * number
        if number % 10 == 9:
            x[0, 0] = 1e39
        name = SHARE if number % 2 else TIMES
        return number, (x, infer(server, name, tensor("x", x)))

    with ThreadPoolExecutor(12) as pool:
        for number, (x, answer) in pool.map(ask, range(1, 80)):
            if number % 10 == 9:
                assert answer.status_code == 400
                continue
            found = np.reshape(answer.json()["outputs"][0]["data"], x.shape)
            np.testing.assert_allclose(found, x / x.max() if number % 2 else 2 * x, rtol=1e-6)
    (alone,) = (line["message"] for line in server.lines() if "one by one" in line["message"])
    assert alone.startswith(f"requests of {SHARE} run one by one: others in a batch move a result by")


def test_a_client_that_goes_away_leaves_the_server_as_it_was(server: Server) -> None:
    body = json.dumps({"inputs": [tensor("x", np.ones((64, 256)))]}).encode()
    host, port = server.href.removeprefix("http://").split(":")
    head = f"POST /v2/models/slow-1.0.0-onnx/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head + body, head + body, head + body, head + body, head + body[:100]):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    answers = lambda: [line for line in server.lines() if "slow" in str(line.get("path", ""))]  # noqa: E731
    end = time.monotonic() + 30
    while len(answers()) < 5:
        assert time.monotonic() < end, answers()
        time.sleep(0.05)
    statuses = sorted(line["status"] for line in answers())
    assert statuses[-1] == 499, statuses  # those that waited, and the one that never sent its body, were not run
    assert infer(server, TIMES, tensor("x", X)).ok
    assert not [line for line in server.lines() if line["level"] == "error"]


def test_the_stac_api_is_beside_it_and_figures_know_the_route(server: Server) -> None:
    assert server.get("collections/times").ok
    assert server.get("v2x").json()["code"]  # a problem of the STAC API
    figures = server.get("metrics").text
    assert 'route="/v2/models/{name}/infer",status="200"' in figures
    asked = {"Origin": "http://site", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": LENGTH}
    assert server.request("OPTIONS", f"v2/models/{TIMES}/infer", headers=asked).ok
