"""What is published is a function: one input gives one output, however often and after whatever it is run."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.registry.statements import PLAIN, graph, statement
from tests.registry.test_describing import published

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.describing.impure import others

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
SAID = {"input_dims": PLAIN, "output_dims": PLAIN}
X = torch.rand(2, 3, 8, 8)


class Of(nn.Module):
    """A module of one function, with a buffer of zeros where it wants one."""

    def __init__(self, forward: Callable[[Any, Any], Any], *buffer: int) -> None:
        super().__init__()
        self.how = forward
        if buffer:
            self.register_buffer("kept", torch.zeros(buffer))

    def forward(self, x: Any) -> Any:
        return self.how(self, x)


def count(module: Any, x: Any) -> Any:
    module.kept.add_(1)
    return x + module.kept


def count_a_little(module: Any, x: Any) -> Any:
    module.kept.add_(1e-7)  # below the rounding of the outputs
    return x + module.kept


def follow(module: Any, x: Any) -> Any:
    module.kept.mul_(0.9).add_(0.1 * x.mean())
    return x - module.kept


def follow_a_part(module: Any, x: Any) -> Any:
    module.kept[1:].add_(x.mean())
    return x * module.kept.sum()


def save(path: Path, module: Any, *, training: bool = False, decomposed: bool = False) -> Path:
    program = torch.export.export(module.train(training), (X,))
    program = program.run_decompositions() if decomposed else program
    torch.export.save(program, path)
    return path


def network(*ends: Any) -> Any:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *ends, nn.Conv2d(4, 3, 1))


@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")  # PyTorch's, of its own decompositions
@pytest.mark.parametrize("decomposed", [False, True], ids=["as exported", "decomposed"])
@pytest.mark.parametrize(
    ("module", "named"),
    [
        (network(nn.Dropout(0.5)), "dropout.default in '1' (Dropout) drops values at random, as in training"),
        (network(nn.AlphaDropout(0.1)), "random"),
        (network(nn.BatchNorm2d(4)), "in '1' (BatchNorm2d) normalises by the statistics of each batch, as in training"),
        (network(nn.RReLU()), "draws random numbers"),
        (Of(lambda _, x: x + 1e-9 * torch.randn_like(x)), "draws random numbers"),
        (Of(lambda _, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1)), "at random"),
        (Of(lambda _, x: torch.bernoulli(x.sigmoid())), "draws random numbers"),
        (Of(count, 1), "changes its own 'kept' in each call, and computes its outputs from it"),
        (Of(count_a_little, 1), "changes its own 'kept'"),
        (Of(follow, 1), "changes its own 'kept'"),
        (Of(follow_a_part, 4), "changes its own 'kept'"),
    ],
    ids=["dropout", "alpha", "statistics", "rrelu", "tiny", "attention", "draws", "count", "a little", "mean", "part"],
)
def test_an_exported_program_that_is_no_function_is_refused_by_name(
    tmp_path: Path, module: Any, named: str, decomposed: bool
) -> None:
    path = save(tmp_path / "net.pt2", module, training=True, decomposed=decomposed)
    with pytest.raises(InvalidItemError, match=named.replace("(", r"\(").replace(")", r"\)")) as raised:
        describe_file(path, statement(**SAID))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "module",
    [
        network(nn.BatchNorm2d(4), nn.Dropout(0.5), nn.RReLU()),
        network(nn.InstanceNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)),
        Of(lambda module, x: x + module.kept.fill_(2.0), 1),  # what was there does not matter
        Of(lambda _, x: F.dropout(x, 0.0, training=True)),
    ],
    ids=["inference", "statistics of its own", "written anew", "drops nothing"],
)
def test_what_is_inert_in_inference_is_published(tmp_path: Path, module: Any) -> None:
    _, _, model = published(save(tmp_path / "net.pt2", module), tmp_path, **SAID)
    expected = module.eval()(X.clone()).detach().numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(model.predict(X.numpy()), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.predict(X.numpy()), model.predict(X.numpy()))


def test_a_program_that_writes_into_its_input_leaves_the_callers_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "net.pt2", nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1)))
    _, _, model = published(path, tmp_path, **SAID)
    given = np.random.default_rng(0).normal(size=X.shape).astype("float32")
    before = given.copy()
    first = model.predict(given)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(model.predict(given), first)


Node = tuple[Any, ...]


def onnx_file(path: Path, *nodes: Node, weights: Any = (), **more: Any) -> Path:
    grid = ["n", 3, "h", "w"]
    return graph(path, list(nodes), [("x", grid)], [("y", grid)], weights=list(weights), **more)


NOISE = ("RandomNormalLike", ["x"], ["noise"], {"scale": 1e-9, "name": "noise"})
TRUE = helper.make_tensor("at_work", TensorProto.BOOL, [], [True])
HALF = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ([NOISE, ("Add", ["x", "noise"], ["y"])], "RandomNormalLike in the node 'noise' draws random numbers"),
        (
            [("Dropout", ["x", "half", "at_work"], ["y"], {"name": "drop"})],
            "Dropout in the node 'drop' drops values at random, as in training",
        ),
        (
            [("Sigmoid", ["x"], ["p"]), ("Bernoulli", ["p"], ["b"], {"seed": 3.0}), ("Mul", ["x", "b"], ["y"])],
            "Bernoulli draws random numbers",
        ),
        (
            [
                ("ReduceSum", ["x"], ["sum"], {"keepdims": 0}),
                ("Greater", ["sum", "half"], ["large"]),
                (
                    "If",
                    ["large"],
                    ["y"],
                    {
                        "then_branch": helper.make_graph(
                            [
                                helper.make_node("RandomUniformLike", ["x"], ["r"], name="inside"),
                                helper.make_node("Add", ["x", "r"], ["one"]),
                            ],
                            "then",
                            [],
                            [helper.make_tensor_value_info("one", TensorProto.FLOAT, ["n", 3, "h", "w"])],
                        ),
                        "else_branch": helper.make_graph(
                            [helper.make_node("Identity", ["x"], ["other"])],
                            "else",
                            [],
                            [helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", 3, "h", "w"])],
                        ),
                    },
                ),
            ],
            "RandomUniformLike in the node 'inside' draws random numbers",
        ),
    ],
    ids=["normal", "dropout", "bernoulli", "in a branch"],
)
def test_an_onnx_graph_that_is_no_function_is_refused_by_name(tmp_path: Path, nodes: list[Node], named: str) -> None:
    path = onnx_file(tmp_path / "net.onnx", *nodes, weights=[TRUE, HALF])
    with pytest.raises(InvalidItemError, match=named):
        describe_file(path, statement(**SAID))


def test_random_numbers_that_no_output_sees_and_dropout_at_rest_are_published(tmp_path: Path) -> None:
    rest = ("Dropout", ["x", "half"], ["kept"])
    path = onnx_file(tmp_path / "net.onnx", NOISE, rest, ("Neg", ["kept"], ["y"]), weights=[HALF])
    _, _, model = published(path, tmp_path, **SAID)
    np.testing.assert_array_equal(model.predict(X.numpy()), -X.numpy())


def test_a_graph_that_is_optimised_into_another_is_refused_with_both_named(tmp_path: Path) -> None:
    """ONNX Runtime writes (1 / d) * c as c / d: infinite and 1e10 where 1 / d is too large for a float32."""
    small, tiny = (helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("small", 1e-20), ("tiny", 1e-30)))
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    path = onnx_file(
        tmp_path / "net.onnx",
        ("Mul", ["x", "small"], ["a"]),
        ("Mul", ["a", "small"], ["d"]),
        ("Div", ["one", "d"], ["r"]),
        ("Mul", ["r", "tiny"], ["y"]),
        weights=[small, tiny, one],
    )
    with pytest.raises(
        InvalidItemError, match="with its optimisations of the graph and ONNX Runtime with the graph as"
    ):
        describe_file(path, statement(**SAID))


def test_what_runs_exactly_runs_the_graph_as_it_is_written(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * 2, "w")
    path = onnx_file(tmp_path / "net.onnx", ("Conv", ["x", "w"], ["c"]), ("Relu", ["c"], ["y"]), weights=[weights])
    _, _, model = published(path, tmp_path, **SAID)
    assert model.native.get_session_options().graph_optimization_level == (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    given = X.numpy() - 0.5
    for run in (model.run, model.run_exactly):
        np.testing.assert_allclose(next(iter(run({"x": given}).values())), 2 * given.clip(0), rtol=1e-6)


def test_operators_of_formats_that_are_not_followed_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    layers = '<layer id="1" name="draw" type="RandomUniform" version="opset8"><layer id="2" name="add" type="Add">'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.xml", f"<net>{layers}</net>")
    assert others.read(path.read_bytes(), "openvino") == ["RandomUniform in the node 'draw'"]
    assert others.read(b"", "litert") == []


RANDOM_IN_TENSORFLOW = """
    import pystac, tensorflow as tf
    from pathlib import Path
    from modelstac.catalog.errors import ModelStacError
    from modelstac.catalog.items.reading import read_item
    from modelstac.registry.describing.measuring import measured
    from modelstac.registry.inspecting.folders import pack
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    folder = Path(sys.argv[1])
    spec = tf.TensorSpec((None, 4, 1, 6, 5), tf.float32, name="frames")
    found = {}

    def tried(name, function, trained=None):
        module = tf.Module()
        if trained is not None:
            module.trained = tf.function(trained, input_signature=[spec])
        module.count = tf.Variable(0.0)
        module.serve = tf.function(lambda frames: {"forecast": function(module, frames)}, input_signature=[spec])
        tf.saved_model.save(module, str(folder / name), signatures=module.serve)
        pack(folder / name, folder / "model.savedmodel.zip")
        item = pystac.Item.from_dict(json.loads((folder / "item.json").read_text()))
        fields = {"artifact": folder / "model.savedmodel.zip", "checksum": None, "size": None}
        try:
            measured(read_item(item).model_copy(update=fields), policy=DEFAULT_POLICY)
            found[name] = "published"
        except ModelStacError as error:
            found[name] = str(error)

    tried("plain", lambda module, x: 3 * x)
    tried("random", lambda module, x: x + tf.random.uniform(tf.shape(x)))
    tried("noise", lambda module, x: 3 * x, lambda x: x + tf.random.normal(tf.shape(x)))
    tried("counts", lambda module, x: x + module.count.assign_add(1.0))
    tried("unused", lambda module, x: (module.count.assign_add(1.0), x)[1])
    answer(found=found)
"""


def test_a_saved_model_is_run_and_what_may_be_to_blame_is_named(
    tmp_path: Path, make_item: Callable[..., Any], python: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "model.savedmodel.zip").write_bytes(b"made by the other process")
    item = make_item(tmp_path / "model.savedmodel.zip", "saved-model")
    item.save_object(include_self_link=False, dest_href=str(tmp_path / "item.json"))
    found = python(RANDOM_IN_TENSORFLOW, tmp_path)["found"]
    assert found["plain"] == found["unused"] == "published"  # running tells: nothing reads the count
    assert found["noise"] == "published"  # in training alone
    assert "gives other numbers for the same input each time: 'forecast' is" in found["random"]
    assert "; RandomUniform in the node" in found["random"]
    assert "gives other numbers for the same input each time: 'forecast' is 1.0e+00 apart" in found["counts"]
    assert "AssignAddVariableOp in the node" in found["counts"]
