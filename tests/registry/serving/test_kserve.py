"""KServe's own client, from an environment of its own: its packages and pins are many."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.catalog.server.conftest import own_environment
from tests.registry.serving.conftest import predicting

from modelstac.catalog.base import Catalog

ASK = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def ask(href, name):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    found = [await client.is_server_live(href), await client.is_server_ready(href)]
    found += [await client.is_model_ready(href, name), await client.is_model_ready(href, "none")]
    for binary in (False, True):
        given = InferInput("x", [2, 2], "FP32")
        given.set_data_from_numpy(np.array([[1, 2], [3, 4]], np.float32), binary_data=binary)
        said = {"binary_data_output": True} if binary else None
        request = InferRequest(model_name=name, infer_inputs=[given], parameters=said)
        answer = await client.infer(href, request, model_name=name)
        found.append(answer.outputs[0].as_numpy().tolist())
    print(json.dumps(found))

asyncio.run(ask(*sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_client_of_kserve_works_unchanged(tmp_path: Path, folder: Path, catalog: Catalog) -> None:
    python = own_environment(tmp_path, "kserve==0.21.0")
    with predicting(folder, catalog, "times@champion") as server:
        done = subprocess.run(
            [python, "-c", ASK, server.href, "times@champion"], capture_output=True, text=True, check=True, timeout=120
        )
    doubled = [[2.0, 4.0], [6.0, 8.0]]
    assert json.loads(done.stdout.splitlines()[-1]) == [True, True, True, False, doubled, doubled]
