"""Every model in every environment: a small matrix of environments that uv makes in seconds."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError, NotFoundError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import ignore
from modelstac.jobs.pools import LocalPool
from modelstac.jobs.run import run
from modelstac.matrix.environments import read_environments
from modelstac.matrix.opening import open_in
from modelstac.matrix.plan import Plan
from modelstac.matrix.results import cells, every_cell
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.requirements import parse
from modelstac.registry.running.examples import write_example
from modelstac.training.data.synthetic import generate

ENVIRONMENTS = """\
[[environment]]
name = "older"
packages = ["onnxruntime==1.20.1", "numpy==1.26.4"]

[[environment]]
name = "newer"
packages = ["onnxruntime==1.22.1", "numpy==2.1.3"]

[[environment]]
name = "numpy"
packages = ["numpy==2.1.3"]

[[environment]]
name = "nowhere"
packages = ["onnxruntime==0.0.1", "numpy==2.1.3"]
"""
UNBORN = """
[[environment]]
name = "unborn"
python = "3.99"
packages = ["onnxruntime==1.22.1", "numpy==2.1.3"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Where the environments are kept: each is made once."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def halves(item, describe, tmp_path):
    """A catalog of a model with an example, one that says it gives something else, and one without example."""
    graph = tmp_path / "damped.onnx"
    onnx.load(graph)
    inputs = np.random.default_rng(1).random((1, 3, 1, 4, 5), dtype=np.float32)
    catalog = open_catalog(tmp_path / "halves", create=True)
    for name, outputs in (("half", inputs / 2), ("lie", inputs)):
        (tmp_path / name).mkdir()
        assets = write_example(tmp_path / name, {"x": inputs}, {"y": outputs})
        catalog.publish(write_item(describe(graph, name=name, assets=assets)))
    catalog.publish(item)
    return tmp_path / "halves"


@pytest.fixture
def frames(tmp_path):
    """Generated rain on the national grid, of which the models take four rows and five columns."""
    generate(tmp_path / "frames", 8, seed=2)
    return tmp_path / "frames"


def found_in(done):
    """Give the results of a command by model and environment."""
    cells = json.loads(done.stdout)
    return {(one["item"].split("-")[0], one["name"].rpartition("-in-")[2]): one["result"] for one in cells}


@pytest.mark.usefixtures("_package_index")
def test_every_cell_is_measured_or_has_a_reason_and_is_measured_once(modelstac_command, halves, made, tmp_path):
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS + UNBORN)
    arguments = ["matrix", "-c", halves, "--environments", tmp_path / "environments.toml", "--work", tmp_path / "work"]
    there = {"MODELSTAC_ENVIRONMENTS": str(made)}
    done = modelstac_command(*arguments, "--json", "--jobs", "2", "--out", tmp_path / "out", "--evidence", **there)
    assert done.returncode == 0, done.stderr
    cells = found_in(done)
    assert len(cells) == 15
    for environment in ("older", "newer"):
        half = cells["half", environment]
        assert half["runs"]
        assert half["agrees"]
        assert half["compared_with"] == "example"
        assert half["difference"] <= 1e-7
        assert half["memory_bytes"] > 10e6
        assert cells["lie", environment]["difference"] > 0.4
        assert not cells["lie", environment]["agrees"]
        assert "published without an example" in cells["damped", environment]["reason"]
    assert "onnxruntime==1.20.1" in cells["half", "older"]["packages"]
    assert cells["half", "numpy"] == {"runs": False, "reason": "needs onnxruntime, which is not in the environment"}
    assert "onnxruntime==0.0.1" in cells["half", "nowhere"]["reason"]
    assert "Python 3.99" in cells["half", "unborn"]["reason"]
    assert "unborn is left out: no environment unborn: No interpreter found for Python 3.99" in done.stderr
    assert "nowhere is left out: no environment nowhere: No solution found" in done.stderr
    page = (tmp_path / "out" / "matrix.md").read_text()
    assert "| half-1.0.0-onnx | ONNX 1.22.0 | older | example |" in page
    assert "| half-1.0.0-onnx | ONNX 1.22.0 | numpy | – |" in page
    assert all((tmp_path / "out" / f"matrix-{name}.png").is_file() for name in ("difference", "speed", "size"))

    catalog = open_catalog(halves)
    assert [item.id for item in catalog.search(runs_with="onnxruntime 1.20", runs_within=1e-5)] == ["half-1.0.0-onnx"]
    verified = catalog.get("half-1.0.0-onnx").properties["interop:verified"]
    assert [one["packages"]["onnxruntime"] for one in verified] == ["1.20.1", "1.22.1"]
    assert "interop:verified" not in catalog.get("lie-1.0.0-onnx").properties

    again = modelstac_command(*arguments, "--evidence", **there)
    assert again.returncode == 0
    did = [line.split()[1] for line in again.stderr.splitlines() if " done" in line]
    assert sorted(did) == ["environment-nowhere", "environment-unborn"]  # what cannot be made is tried again
    assert again.stdout.startswith("damped-1.0.0-onnx (ONNX 1.22.0)\n  older    item 'damped-1.0.0-onnx' was published")
    assert catalog.get("half-1.0.0-onnx").properties["interop:verified"] == verified


@pytest.mark.usefixtures("_package_index")
def test_what_is_found_runs_there(modelstac_command, halves, made, tmp_path, monkeypatch):
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS.partition("\n\n")[0])
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(made))
    arguments = ["matrix", "-c", halves, "--environments", tmp_path / "environments.toml", "--work", tmp_path / "work"]
    done = modelstac_command(*arguments, "--evidence", MODELSTAC_ENVIRONMENTS=str(made))
    assert done.returncode == 0, done.stderr
    (item,) = open_catalog(halves).search(runs_with="onnxruntime 1.20", runs_within=1e-5)
    (verified,) = item.properties["interop:verified"]
    text = "\n".join([f"# python {verified['python']}", *map("==".join, verified["packages"].items())])
    requirements = parse(text, source="the evidence")
    environment = Environments().provide(requirements, purpose="the test")
    _, model = open_in(item, environment, requirements, trusted=(), report=ignore)
    with model:
        assert "onnxruntime==1.20.1" in model.environment.packages
        np.testing.assert_allclose(model.predict(np.ones((1, 3, 1, 4, 5), np.float32)), 0.5)


@pytest.mark.usefixtures("_package_index")
def test_forecasts_on_real_windows_are_compared_with_those_of_the_writer(
    modelstac_command, halves, frames, made, tmp_path
):
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS.partition('[[environment]]\nname = "numpy"')[0])
    arguments = ["matrix", "-c", halves, "--environments", tmp_path / "environments.toml", "--work", tmp_path / "work"]
    there = {"MODELSTAC_ENVIRONMENTS": str(made)}
    done = modelstac_command(*arguments, "--json", "--jobs", "2", "--data", frames, **there)
    assert done.returncode == 0, done.stderr
    cells = found_in(done)
    assert len(cells) == 6
    for found in cells.values():  # those without an example, or with one that lies, as well
        assert found["agrees"]
        assert found["compared_with"] == "writer"
        assert found["windows"] == 3
        assert found["difference"] <= 1e-7
        assert abs(found["rmse_change"]) < 1e-6
        assert found["scores"]["rmse"] > 0
    again = modelstac_command(*arguments, "--data", frames, **there)
    assert again.stderr == ""  # nothing was done
    max(frames.iterdir()).unlink()
    fewer = found_in(modelstac_command(*arguments, "--json", "--data", frames, **there))
    assert {found["windows"] for found in fewer.values()} == {2}


@pytest.mark.usefixtures("_package_index")
def test_a_model_that_hangs_and_one_that_is_deleted_do_not_keep_the_others_from_being_measured(
    describe, halves, made, tmp_path, monkeypatch
):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(made))
    monkeypatch.setenv("MODELSTAC_WORKER_TIMEOUT", "5")
    catalog = open_catalog(halves)
    (tmp_path / "endless").mkdir()
    assets = write_example(tmp_path / "endless", *({"x": np.ones((1, 3, 1, 4, 5), np.float32)},) * 2)
    catalog.publish(write_item(describe(endless(tmp_path / "endless.onnx"), name="endless", assets=assets)))
    environments = read_environments(ENVIRONMENTS.partition("\n\n")[0], "e.toml")
    jobs = Plan(catalog, environments, str(tmp_path / "work"), timeout=120).reading()
    catalog.delete("lie-1.0.0-onnx")
    with LocalPool(2) as pool:
        outcomes = run(jobs, pool, retries=0)
    found = {cell.item.split("-")[0]: cell for cell in cells(outcomes, catalog)}
    assert found["half"].runs
    assert "did not answer for 5 s" in found["endless"].found["reason"]
    assert not found["lie"].measured
    assert "no item 'lie-1.0.0-onnx'" in found["lie"].found["reason"]
    (gone,) = (row for row in every_cell(list(found.values())).rows if row[0] == "lie-1.0.0-onnx")
    assert gone[1] == "deleted meanwhile"


def test_models_are_chosen_by_their_ids(halves, tmp_path):
    environments = read_environments(ENVIRONMENTS.partition("\n\n")[0], "e.toml")
    plan = Plan(open_catalog(halves), environments, str(tmp_path / "work"), timeout=1)
    assert [job.name for job in plan.reading(["hal*", "nothing"])][1:] == ["half-1.0.0-onnx-in-older"]
    assert len(plan.reading()) == 1 + 3
    with pytest.raises(NotFoundError, match=r"no model of .* is called 'nothing'"):
        plan.reading(["nothing"])


def endless(path):
    """Write a graph that goes round and round, and would then give its input."""
    layout = ["b", 3, 1, "h", "w"]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
    count, going, value, goes, same = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("count", TensorProto.INT64, []),
            ("going", TensorProto.BOOL, []),
            ("value", TensorProto.FLOAT, None),
            ("goes", TensorProto.BOOL, []),
            ("same", TensorProto.FLOAT, None),
        )
    )
    steps = [helper.make_node("Identity", *names) for names in ((["going"], ["goes"]), (["value"], ["same"]))]
    body = helper.make_graph(steps, "body", [count, going, value], [goes, same])
    times = numpy_helper.from_array(np.array(2**62, np.int64), "times")
    yes = numpy_helper.from_array(np.array(True), "yes")
    loop = helper.make_node("Loop", ["times", "yes", "frames"], ["forecast"], body=body)
    graph = helper.make_graph([loop], "g", [x], [y], [times, yes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_what_the_disk_has_no_room_for_is_left_out(modelstac_command, halves, tmp_path):
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS.partition("\n\n")[0])
    arguments = ["matrix", "-c", halves, "--environments", tmp_path / "environments.toml", "--work", tmp_path / "work"]
    full = {"MODELSTAC_ENVIRONMENTS": str(tmp_path / "made"), "MODELSTAC_KEEP_FREE": "1e9"}
    done = modelstac_command(*arguments, **full)
    assert done.returncode == 0, done.stderr
    assert "older is left out: the environment takes about 0.3 GB" in done.stderr
    assert done.stdout.count("the environment takes about 0.3 GB") == 3
    assert not list((tmp_path / "made").glob("*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"e\.toml is a list of \[\[environment\]\]"),
        ("environment = [", "e.toml is no TOML"),
        ('[[environment]]\nname = "a"\n', "environment 1: packages is a list of texts, not None"),
        ('[[environment]]\nname = "a"\npackages = ["numpy==2.1.3"]\ncolour = 1\n', "unknown field 'colour'"),
        ('[[environment]]\nname = "a"\npackages = ["numpy>=2"]\n', "environment 1 says 'numpy>=2': only"),
        ('[[environment]]\nname = "a"\npackages = ["left-pad==1.0"]\n', "no known runtime nor needed by one"),
        ('[[environment]]\nname = "a"\npackages = ["keras==3.10.0"]\n', "keras==3.10.0, which has known holes"),
        ('[[environment]]\nname = "a b"\npackages = ["numpy==2.1.3"]\n', "the name 'a b' has other signs"),
        ('[[environment]]\nname = "a"\npackages = ["numpy==2.1.3"]\nwrites = ["gif"]\n', "nothing writes 'gif' anew"),
        (2 * '[[environment]]\nname = "a"\npackages = ["numpy==2.1.3"]\n', "two environments are called 'a'"),
    ],
)
def test_what_is_no_environment_is_refused(text, message):
    with pytest.raises(ModelStacError, match=message):
        read_environments(text, "e.toml")


def test_an_older_version_needs_the_word_of_whoever_compares():
    text = '[[environment]]\nname = "a"\npackages = ["keras==3.10.0"]\ntrusted = ["keras==3.10.0"]\n'
    (environment,) = read_environments(text, "e.toml")
    assert environment.trusted == ("keras==3.10.0",)
