"""Examples that are published with a model, where a conversion takes other batches or one length alone."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from modelstac.catalog.items.reading import read_item  # noqa: E402
from modelstac.catalog.items.sizes import ANY, Size  # noqa: E402
from modelstac.exporters.jobs import ExportJob, export  # noqa: E402
from modelstac.exporters.proof.examples import in_batches, published_example  # noqa: E402
from modelstac.registry.running.examples import read_example  # noqa: E402
from modelstac.registry.running.signature import Signature, TensorSignature  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Likeliest(torch.nn.Module):
    """Marks the largest of six features: with any other number of them it fails, or its marks do not fit."""

    def forward(self, x):
        return torch.nn.functional.one_hot(x.argmax(-1), 6).float()


@pytest.fixture
def published(of_series):
    catalog, publish = of_series
    return catalog, publish(Likeliest(), np.random.default_rng(0).normal(size=(3, 7, 6)).astype(np.float32))


@pytest.mark.parametrize(
    ("count", "kept"), [(Size.fixed(2), [0, 1]), (Size.fixed(5), [0, 1, 2, 0, 1]), (ANY, [0, 1, 2])]
)
def test_an_example_is_repeated_or_cut_to_the_one_batch_that_is_taken(count, kept):
    tensors = tuple(TensorSignature(name, (count, ANY), ("batch", "time"), "float32") for name in ("x", "y"))
    given = {name: start + np.arange(12.0).reshape(3, 4) for name, start in (("x", 0), ("y", 100))}
    found = in_batches(given, Signature(tensors, ()))
    for name in given:
        np.testing.assert_array_equal(found[name], given[name][kept])


def test_an_axis_of_one_length_has_it_in_a_conversion_too(published, workers):
    catalog, item = published
    made = export(ExportJob(item.id, "onnx"), catalog, workers=workers)
    for one in (item, made):
        [tensor] = Signature.of(read_item(one)).inputs
        assert tensor.axes["feature"] == Size.fixed(6)


def test_the_example_is_judged_in_the_batches_that_are_left(published):
    item = published[1]
    known = Signature.of(read_item(item))
    [name] = [one.name for one in known.inputs]
    [case] = published_example(item, known, known.with_sizes({name: {"batch": Size.fixed(2)}}))
    np.testing.assert_array_equal(case.inputs[name], read_example(item)[0][name][:2])
