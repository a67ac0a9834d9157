"""A tenth of the corpus: what is published is right, by a comparison that uses none of our code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from benchmarks.corpus.families import FORMATS, entries
from benchmarks.corpus.judging import apart, fitting, verdict
from benchmarks.corpus.page import failures, kind_of, write
from benchmarks.corpus.running import OURS, Cell, Results, Run, slug
from benchmarks.corpus.workers import ROOT, Worker

TENTH = {
    "keras: LeNet-5": ("saved-model", "litert"),
    "keras: ConvNeXt block, GELU": ("saved-model", "litert"),
    "keras: SRCNN": ("onnx",),
    "keras: L-TAE": ("saved-model",),
    "keras: GRU": ("saved-model", "litert"),
    "keras: Two tasks": ("litert",),
    "keras: Fusion of radar and optics": ("onnx",),
    "torch-export: ResNeXt, grouped convolutions": ("onnx",),
    "torch-export: L-TAE": ("onnx", "openvino"),
    "torch-export: Siamese change detection": ("onnx",),
    "onnx: NDVI": ("openvino",),
    "onnx: U-Net": ("openvino",),
    "onnx: LSTM, both directions": ("openvino",),
    "onnx: Resize, bicubic": ("openvino",),
    "onnx: Siamese change detection": ("openvino",),
    "onnx: Classes and their certainty": ("openvino",),
    **dict.fromkeys(
        (
            *("onnx: Tasselled cap", "onnx: Sobel edges", "onnx: Multilayer perceptron", "onnx: Resize, nearest"),
            *("onnx: ESPCN, depth to space", "onnx: Layer normalisation", "onnx: Erf, GELU by hand", "onnx: RNN"),
        ),
        ("openvino",),
    ),
}
"""Of packages that are installed here; each is converted, so that a refusal fails, too."""


@pytest.fixture(scope="module")
def known():
    return entries()


@pytest.fixture(scope="module")
def run(known, tmp_path_factory):
    cache = tmp_path_factory.mktemp("corpus")
    made = Run(cache, Results(cache / "results.jsonl"), timeout=300)
    assert made.build({key: known[key] for key in TENTH}) == {}
    cells = [Cell(key, known[key].kind, target, OURS) for key, targets in TENTH.items() for target in targets]
    made.measure(cells, report=print)
    return made


@pytest.mark.parametrize(("key", "target"), [(key, target) for key, targets in TENTH.items() for target in targets])
def test_what_is_published_is_right(run, known, key, target):
    found = run.results.find(Cell(key, known[key].kind, target, OURS))
    assert kind_of(found) == "right", found


def test_what_was_measured_is_written_down_and_not_measured_again(run, known):
    cells = [Cell(key, known[key].kind, target, OURS) for key, targets in TENTH.items() for target in targets]
    run.measure(cells, report=pytest.fail)
    again = Run(run.cache, Results(run.cache / "results.jsonl"))
    page = write(again, known)
    assert f"{len(cells)} of " in page
    assert "| keras → saved-model | **ours** | 4 | 4 |" in page
    apart = [cell for cell in cells if again.results.find(cell).get("verdict") != "right"]
    assert failures(again, known).count("\n") == len(apart)


def test_a_conversion_of_another_model_is_judged_wrong(run, known):
    first, second = (run.results.find(Cell(f"onnx: {name}", "onnx", "openvino", OURS)) for name in ("NDVI", "U-Net"))
    with Worker("benchmarks.corpus.judging", run.cache / "log") as judge:
        for file, source in ((first["file"], "onnx: U-Net"), (second["file"], "onnx: NDVI")):
            said = judge.ask({"file": file, "format": "openvino", "source": str(run.folder(source))})
            assert said["verdict"] == "wrong"
        said = judge.ask({"file": __file__, "format": "onnx", "source": str(run.folder("onnx: NDVI"))})
        assert said["verdict"] == "does not load"


MATRIX = """
[[environment]]
name = "onnxruntime"
packages = ["onnxruntime==1.22.1", "numpy==2.1.3"]
"""


@pytest.mark.usefixtures("_package_index")
def test_the_matrix_reads_models_of_the_corpus_of_several_inputs_and_outputs(run, tmp_path):
    catalog, file = tmp_path / "catalog", tmp_path / "environments.toml"
    run.publish([key for key in TENTH if key.startswith("onnx: ")], catalog)
    file.write_text(MATRIX)
    command = [sys.executable, "-m", "modelstac", "matrix", "-c", catalog, "--environments", file, "--json"]
    command += ["--only", "siamese-*", "--only", "classes-*", "--work", tmp_path / "work"]
    here = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([*map(str, command)], env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = {cell["item"]: cell["result"] for cell in json.loads(done.stdout)}
    assert cells.keys() == {"siamese-change-detection-1.0.0-onnx", "classes-and-their-certainty-1.0.0-onnx"}
    for found in cells.values():
        assert found["agrees"]
        assert found["compared_with"] == "example"


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        ([1.0, 2.0], [1.0, 2.0001], ""),
        ([1.0, 2.0], [1.0, 2.001], "1.0e-03 away"),
        ([1.0, np.nan], [1.0, np.nan], ""),
        ([1.0, np.nan], [1.0, 0.0], "NaN in 0 places in place of 1"),
        ([1.0, np.inf], [1.0, 2.0], "infinities"),
        ([[1.0]], [1.0], "shape"),
        ([1, 2, 3, 4], [1, 2, 4, 3], "50.0% of its labels"),
        ([1, 2, 3, 4], [1, 2, 3, 3], ""),
    ],
)
def test_what_is_apart_is_said(expected, found, told):
    _, said = apart(np.array(expected), np.array(found), 1e-4)
    assert told in said
    assert bool(said) == bool(told)


def test_names_come_before_order():
    assert fitting(["a", "b"], ["serving_default_b:0", "serving_default_a:0"]) == [1, 0]
    assert fitting(["a", "b"], ["output_0", "output_1"]) == [0, 1]
    with pytest.raises(ValueError, match="in place of"):
        fitting(["a", "b"], ["output_0"])


def test_what_holds_on_its_own_range_alone_is_not_right():
    equal, off = {"equal": True, "told": ""}, {"equal": False, "told": "is off"}
    assert verdict({"own-0": equal, "large-0": off, "nan-0": off})["verdict"] == "right on its own range"
    assert verdict({"own-0": equal, "nan-0": off})["verdict"] == "right but for NaN"
    assert verdict({"own-0": equal, "own-1": {"error": "no"}, "nan-0": equal})["not run"] == ["own-1"]
    assert verdict({"own-0": {"error": "no"}})["verdict"] == "does not run"


PROGRAM = """
import os, signal, time
from benchmarks.corpus.serving import serve
def answer(request):
    print("noise of a library")
    if request["do"] == "raise": raise RuntimeError("two\\nlines")
    if request["do"] == "wait": time.sleep(60)
    if request["do"] == "crash": os.kill(os.getpid(), signal.SIGSEGV)
    return {"pid": os.getpid()}
serve(answer)
"""


def test_a_signal_or_silence_costs_one_answer(tmp_path):
    (tmp_path / "answering.py").write_text(PROGRAM)
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with Worker("answering", tmp_path / "log", environment=paths, timeout=5) as worker:
        first = worker.ask({"do": "nothing"})
        assert worker.ask({"do": "nothing"}) == first
        assert worker.ask({"do": "raise"}) == {"error": "RuntimeError: two lines"}
        assert worker.ask({"do": "crash"}) == {"crashed": signal.Signals.SIGSEGV.name}
        assert worker.ask({"do": "nothing"}) != first
        assert worker.ask({"do": "wait"}) == {"crashed": "no answer in 5 s"}
        assert "pid" in worker.ask({"do": "nothing"})


def test_the_comparison_imports_nothing_of_this_project(tmp_path):
    names = ", ".join(f"benchmarks.corpus.{name}" for name in ("judging", "building", "peers", "families"))
    code = f"import sys, {names}; benchmarks.corpus.families.entries(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in found.stdout.split() if name.startswith("modelstac")]


def test_the_corpus_is_as_large_as_it_says(known):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus", "--list", "--only", "torch-export: *"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = done.stdout.splitlines()
    assert listed == [key for key, entry in known.items() if FORMATS[entry.kind] == "torch-export"]
    assert len(known) >= 150
    assert 10 * len(TENTH) >= len(known)
    assert len({slug(key) for key in known}) == len(known)  # each has a folder of its own
