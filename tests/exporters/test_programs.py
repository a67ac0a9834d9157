"""Exported PyTorch programs to ONNX, OpenVINO and LiteRT, judged by PyTorch where tools compute in another way."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from modelstac.catalog import open_catalog  # noqa: E402
from modelstac.catalog.errors import ConversionError, DownloadError, ParityError  # noqa: E402
from modelstac.catalog.items.reading import read_item  # noqa: E402
from modelstac.catalog.items.writing import write_item  # noqa: E402
from modelstac.exporters.converters.programs import litert  # noqa: E402
from modelstac.exporters.converters.programs.program import ready  # noqa: E402
from modelstac.exporters.jobs import ExportJob, export  # noqa: E402
from modelstac.exporters.matrix import matrix  # noqa: E402
from modelstac.exporters.routes import NODES, ROUTES  # noqa: E402
from modelstac.exporters.workers import Workers  # noqa: E402
from modelstac.registry.describing.describe import describe_file  # noqa: E402
from modelstac.registry.loading import load  # noqa: E402
from modelstac.registry.runtimes.torch_export import nodes  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
AUTO = torch.export.Dim.AUTO
IMAGE, SERIES = ("batch", "channel", "height", "width"), ("batch", "time", "feature")


class Masked(torch.nn.Module):
    """Attention to steps whose first feature is above 0: of zeros, all is masked."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.linear = kind, torch.nn.Linear(8, 24)

    def forward(self, x):
        query, key, value = self.linear(x).chunk(3, -1)
        mask = (x[..., 0] > 0)[:, None, :].expand(-1, x.shape[1], -1)
        if self.kind == "added":
            mask = torch.where(mask, 0.0, -torch.inf)
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


class Index(torch.nn.Module):
    """A vegetation index, kept from dividing by nothing inside of a network."""

    def forward(self, x):
        red, near = (x[:, :1] - 0.5).relu(), (x[:, 1:] - 0.5).relu()  # below 0.5, both are zero
        return (near - red) / (near + red + 1e-8)


class Nearest(torch.nn.Module):
    """Nearest neighbours where factors leave a rest: litert-torch takes the other neighbour."""

    def forward(self, x):
        return torch.nn.functional.interpolate(x, size=(45, 39), mode="nearest")


class Quantiles(torch.nn.Module):
    """Several outputs by name, one of them labels, of a sorted series."""

    def forward(self, x):
        found = torch.sort(x, dim=1).values
        return {"middle": found[:, 3], "label": x.mean(1).argmax(1)}


@pytest.fixture
def publish(models, tmp_path):
    catalog = open_catalog(tmp_path / "catalog", create=True)

    def made(name, module, given, dynamic, *, dims, results):
        path = tmp_path / f"{name}.pt2"
        program = torch.export.export(module.eval(), (given,), dynamic_shapes=(dynamic,))
        torch.export.save(program, path)
        tasks = dict.fromkeys(results, ("regression",)) if isinstance(results, dict) else ("regression",)
        said = models.statement(name, "Net", dims, results, tasks=tasks)
        return catalog, catalog.publish(write_item(describe_file(path, said))).id

    return made


@pytest.fixture(scope="session")
def models():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).with_name("any_models.py")
    spec = importlib.util.spec_from_file_location("any_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "shape"),
    [(3, 2, 1, (32, 30)), (3, 2, 1, (31, 33)), (5, 3, 2, (17, 16)), (3, 3, 1, (10, 11))],
)
def test_means_over_windows_beyond_a_padded_edge_are_written_out_exactly(kernel, stride, padding, shape):
    class Pool(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.avg_pool2d(x, kernel, stride, padding, ceil_mode=True)

    x = torch.rand(2, 3, *shape)
    program = ready(torch.export.export(Pool(), (x,)))
    assert torch.equal(program.module()(x), Pool()(x))
    [pool] = [node for node in program.graph.nodes if node.target is torch.ops.aten.avg_pool2d.default]
    assert list(pool.args[3:4]) in ([], [[0, 0]])


class Parcels(torch.nn.Module):
    """Sums over windows by a divisor of one's own, and the means of parcels."""

    def __init__(self, include_self):
        super().__init__()
        self.include_self = include_self
        self.register_buffer("parcels", torch.tensor([0, 0, 2, 2, 2, 0, 4, 4]).repeat(4, 1))

    def forward(self, x):
        sums = torch.nn.functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=4)
        index = self.parcels.expand(*sums.shape[:2], *self.parcels.shape)[..., : sums.shape[-2], : sums.shape[-1]]
        means = torch.full_like(sums, 2.0).scatter_reduce(3, index, sums, "mean", include_self=self.include_self)
        return torch.cat([sums, means], 1)


@pytest.mark.parametrize("include_self", [True, False])
def test_sums_by_a_divisor_and_means_of_parcels_are_as_pytorch_makes_them(publish, include_self, workers):
    module, name = Parcels(include_self), f"parcels-{include_self}".lower()
    catalog, source = publish(name, module, torch.rand(2, 3, 6, 14), {0: AUTO}, dims=IMAGE, results=IMAGE)
    x = np.random.default_rng(0).normal(size=(3, 3, 6, 14)).astype(np.float32)
    for target in ("onnx", "openvino"):
        with load(export(ExportJob(source, target), catalog, workers=workers)) as model:
            np.testing.assert_allclose(model.predict(x), module(torch.from_numpy(x)), atol=1e-5)


@pytest.mark.parametrize("kind", ["boolean", "added"])
def test_a_row_of_attention_of_which_all_is_masked_is_zeros(publish, kind, workers):
    module = Masked(kind)
    catalog, source = publish(f"masked-{kind}", module, torch.rand(2, 5, 8), {0: AUTO}, dims=SERIES, results=SERIES)
    x = np.random.default_rng(0).random((3, 5, 8), np.float32)
    x[1] = 0
    expected = module(torch.from_numpy(x)).detach().numpy()
    assert not expected[1].any()
    for target in ("onnx", "openvino"):
        with load(export(ExportJob(source, target), catalog, workers=workers)) as model:
            np.testing.assert_allclose(model.predict(x), expected, atol=1e-6)


def _halves():
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1))
    return network.half(), torch.rand(2, 4, 24, 28).half(), {0: AUTO}, 2e-3


def _normalised():
    """Zeros are a constant field after the first layer, of which normalising makes rounding errors large."""
    layers = [torch.nn.Conv2d(4, 12, 3, padding=1), torch.nn.InstanceNorm2d(12, affine=True), torch.nn.SiLU()]
    network = torch.nn.Sequential(*layers, torch.nn.GroupNorm(4, 12), torch.nn.Conv2d(12, 2, 1))
    return network, torch.rand(2, 4, 20, 28), {0: AUTO, 2: AUTO, 3: AUTO}, 1e-4


def _multiples():
    """Height and width are said as multiples, as the exporter itself advises for U-Nets."""
    dim = torch.export.Dim
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.MaxPool2d(2))
    network.append(torch.nn.ConvTranspose2d(8, 2, 2, 2))
    return network, torch.rand(2, 4, 64, 96), {0: dim("b"), 2: 32 * dim("h", max=64), 3: 32 * dim("w", max=64)}, 1e-5


@pytest.mark.parametrize("kind", [_halves, _normalised, _multiples])
def test_what_is_equal_in_its_own_precision_range_and_sizes_is_published(kind, publish, workers):
    torch.manual_seed(0)
    network, given, dynamic, most = kind()
    catalog, source = publish("own", network, given, dynamic, dims=IMAGE, results=IMAGE)
    expected = network(given).detach().numpy()
    with load(export(ExportJob(source, "onnx"), catalog, workers=workers)) as model:
        np.testing.assert_allclose(model.predict(given.numpy()), expected, atol=most)


class Table(torch.nn.Module):
    """A bilinear layer over a constant that ``forward`` makes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.both = torch.nn.Bilinear(3, 4, 5)

    def forward(self, x):
        return self.both(x[:, :3] - torch.tensor([0.1, 0.2, 0.3]).view(1, 3), x[:, 3:])


def test_bilinear_layers_and_detached_constants_are_written_out_exactly():
    x, network = torch.rand(6, 7), Table().eval()
    program = torch.export.export(network, (x,), dynamic_shapes={"x": {0: AUTO}})
    written = ready(program)
    left = {str(node.target) for node in written.graph.nodes}
    assert {"aten.bilinear.default", "aten.detach_.default"} <= {str(node.target) for node in program.graph.nodes}
    assert not left & {"aten.bilinear.default", "aten.detach_.default"}
    torch.testing.assert_close(written.module()(x), network(x))
    torch.testing.assert_close(written.module()(x[:2]), network(x[:2]))


@pytest.mark.parametrize("kind", [torch.logaddexp, torch.atan2, lambda x, y: torch.nn.functional.logsigmoid(x * y)])
def test_logarithms_and_angles_are_written_out_for_numbers_of_any_size(kind):
    class Two(torch.nn.Module):
        def forward(self, x):
            return kind(x[:, 0], x[:, 1])

    values = torch.tensor([0.0, 1.0, -1.0, 0.3, -19.0, 70.0, -1e4, 1e4, torch.inf, -torch.inf, torch.nan])
    x = torch.cartesian_prod(values, values)
    program = ready(torch.export.export(Two(), (x,)))
    aten = torch.ops.aten
    written_out = {aten.log_sigmoid.default, aten.logaddexp.default, aten.atan2.default}
    assert not written_out & {node.target for node in nodes(program)}
    expected, found = Two()(x), program.module()(x)
    if kind is torch.atan2:  # of two infinite numbers no tool makes an angle
        kept = ~torch.isinf(x).all(1)
        expected, found = expected[kept], found[kept]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6, equal_nan=True)


class Wind(torch.nn.Module):
    """From where it blows, and a logarithm of what is likely, of raw numbers."""

    def forward(self, x):
        return torch.atan2(x[:, :1], x[:, 1:]) + torch.nn.functional.logsigmoid(x[:, 1:])


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_wind_from_the_west_and_large_logits_are_those_of_pytorch(target, publish, workers):
    dims = ("batch", "component")
    catalog, source = publish("wind", Wind(), torch.rand(2, 2), {0: AUTO}, dims=dims, results=dims)
    x = np.array([[0, -1], [0, 1], [1, 0], [-1, 0], [0, 0], [3, -70], [-3, 70], [1, -3000]], np.float32)
    with load(export(ExportJob(source, target), catalog, workers=workers)) as model:
        found = model.predict(x)
    np.testing.assert_allclose(found, Wind()(torch.from_numpy(x)).numpy(), rtol=1e-6, atol=1e-5)


def _on_grids(function):
    class Network(torch.nn.Module):
        def forward(self, x):
            return function(x)

    return Network()


def _exported(function, x):
    return torch.export.export(_on_grids(function), (x,), dynamic_shapes=({0: AUTO, 2: AUTO, 3: AUTO},))


SMOOTHED = {
    "a size": {"size": (11, 13)},
    "a factor": {"scale_factor": 0.5},
    "another factor": {"scale_factor": 1.7},
    "corners": {"size": (11, 40), "align_corners": True},
}


@pytest.mark.parametrize("kind", SMOOTHED)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_what_is_smoothed_when_it_is_resized_is_written_out_on_open_grids(mode, kind):
    def resized(x):
        return torch.nn.functional.interpolate(x, mode=mode, antialias=True, **SMOOTHED[kind])

    program = ready(_exported(resized, torch.rand(2, 3, 24, 28)))
    assert not [node for node in nodes(program) if "upsample" in str(node.target)]
    for shape in ((24, 28), (16, 40), (90, 10)):
        x = torch.rand(3, 3, *shape)
        torch.testing.assert_close(program.module()(x), resized(x), rtol=1e-5, atol=1e-5)


def _pooled(x):
    """Pool as a pyramid does, over any grid."""
    average = torch.nn.functional.adaptive_avg_pool2d(x, (3, 5))
    rows = torch.nn.functional.adaptive_avg_pool2d(x, (None, 5)).mean(2, keepdim=True)
    return average + rows + torch.nn.functional.adaptive_max_pool2d(x, (3, 5))


def _smoothed(x):
    exact = torch.nn.functional.interpolate(x, size=(30, 22), mode="nearest-exact")
    return exact + torch.nn.functional.interpolate(x, size=(30, 22), mode="bicubic", antialias=True)


def _ranked(x):
    """Values by their rank and how often they are, of four bands."""
    steps, found = (4 * x).round(), torch.searchsorted(torch.tensor([0.2, 0.5]), x[:, :1], right=True)
    ranks = x.median(1, keepdim=True).values + x.nanmedian(1, keepdim=True).values + x.kthvalue(3, 1, True).values
    return ranks + steps.mode(1, keepdim=True).values + torch.hypot(x[:, :1], x[:, 1:2]) + found


@pytest.mark.parametrize(
    ("function", "target"),
    [(_pooled, "onnx"), (_smoothed, "openvino"), (_ranked, "onnx"), (_ranked, "openvino")],
)
def test_resampling_and_ranks_on_open_grids_are_those_of_pytorch(function, target, publish, workers):
    dynamic = {0: AUTO, 2: AUTO, 3: AUTO}
    catalog, source = publish("open", _on_grids(function), torch.rand(2, 4, 24, 28), dynamic, dims=IMAGE, results=IMAGE)
    with load(export(ExportJob(source, target), catalog, workers=workers)) as model:
        for shape in ((24, 28), (37, 31)):
            x = np.random.default_rng(0).normal(size=(3, 4, *shape)).astype(np.float32)
            np.testing.assert_allclose(model.predict(x), function(torch.from_numpy(x)), rtol=1e-5, atol=1e-5)


def test_adaptive_pooling_with_windows_of_several_sizes_goes_to_onnx_from_a_fixed_grid(publish, workers):
    network = torch.nn.AdaptiveAvgPool2d((5, 4))
    catalog, source = publish("fixed", network, torch.rand(2, 3, 13, 8), {0: AUTO}, dims=IMAGE, results=IMAGE)
    x = torch.rand(3, 3, 13, 8)
    with load(export(ExportJob(source, "onnx"), catalog, workers=workers)) as model:
        np.testing.assert_allclose(model.predict(x.numpy()), network(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0, 4.0], [torch.nan, 2.0, 1.0, 3.0], [torch.nan] * 4])
def test_ranks_among_missing_values_are_those_of_pytorch(values):
    def ranks(x):
        return torch.cat([x.median(1).values, x.nanmedian(1).values, x.kthvalue(2, 1).values, x.kthvalue(4, 1).values])

    x = torch.tensor(values).view(1, 4, 1, 1).expand(1, 4, 2, 2).contiguous()
    program = ready(_exported(ranks, torch.rand(2, 4, 3, 5)))
    torch.testing.assert_close(program.module()(x), ranks(x), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", [torch.hypot, torch.cdist, lambda x, y: torch.cdist(x, y, p=1.0)])
def test_distances_are_written_out_for_numbers_of_any_size(kind):
    def function(x):
        return kind(x[:, 0], x[:, 1])

    values = torch.tensor([0.0, 1.0, -1.0, 0.3, 3e-20, -1e4, 2e37, torch.inf])
    x = torch.cartesian_prod(values, values).T.reshape(1, 2, 8, 8)
    x = torch.cat([x, -x]) if kind is torch.hypot else x.nan_to_num(posinf=7.0).clamp(-1e9, 1e9)
    program = ready(_exported(function, torch.rand(2, 2, 5, 6)))
    torch.testing.assert_close(program.module()(x), function(x), rtol=1e-6, atol=0)


def test_a_file_that_its_runtime_does_not_open_is_a_conversion_that_failed(publish, workers):
    """ONNX Runtime convolves no double precision on CPUs."""
    network = torch.nn.Conv2d(3, 2, 3).double()
    given = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    catalog, source = publish("double", network, given, {0: AUTO}, dims=IMAGE, results=IMAGE)
    said = r"no route from .* torch-export → onnx: [^/].*cannot be opened by"
    with pytest.raises(ConversionError, match=said) as caught:
        export(ExportJob(source, "onnx"), catalog, workers=workers)
    assert str(caught.value).endswith(": nothing was published")


class Quality(torch.nn.Module):
    """One bit of a quality band."""

    def forward(self, x):
        return ((x >> 10) & 1).float()


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_bit_of_a_quality_band_is_that_of_pytorch(target, publish, workers):
    """OpenVINO's reader of programs rounds those below 0 up: then it is converted over ONNX."""
    dims = ("batch", "pixel")
    given = torch.ones(2, 3, dtype=torch.int16)
    catalog, source = publish("quality", Quality(), given, {0: AUTO}, dims=dims, results=dims)
    x = np.array([[1024, -1, -32768], [3072, -1025, 32767]], np.int16)
    with load(export(ExportJob(source, target), catalog, workers=workers)) as model:
        found = model.predict(x)
    np.testing.assert_array_equal(found, Quality()(torch.from_numpy(x)).numpy())


class Later(torch.nn.Module):
    """Seconds after a time, or what of an id is its table's."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return (x - 7).float() / 60 if self.kind == "seconds" else x // 1000


@pytest.mark.parametrize("kind", ["seconds", "ids"])
def test_times_and_ids_beyond_32_bits_are_refused_where_they_are_not_computed(kind, publish, workers):
    dims = ("batch", "time")
    catalog, source = publish(
        kind, Later(kind), torch.ones(2, 3, dtype=torch.int64), {0: AUTO}, dims=dims, results=dims
    )
    with pytest.raises(ParityError, match=r"in the case 'large whole numbers'.*publish with --range"):
        export(ExportJob(source, "openvino"), catalog, workers=workers)
    x = np.array([[3_000_000_000, 1_767_225_600_123_456_789, -5]])
    with load(export(ExportJob(source, "onnx"), catalog, workers=workers)) as model:
        found = model.predict(x)
    expected = Later(kind)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6) if kind == "seconds" else np.testing.assert_array_equal(
        found, expected
    )


def test_what_looks_something_up_goes_to_openvino(publish, workers):
    module, x = torch.nn.Embedding(20, 4), torch.ones(2, 3, dtype=torch.int64)
    catalog, source = publish("table", module, x, {0: AUTO}, dims=("batch", "time"), results=SERIES)
    with load(export(ExportJob(source, "openvino"), catalog, workers=workers)) as model:
        found = model.predict(np.array([[19, 0, 7]]))
    np.testing.assert_array_equal(found, module(torch.tensor([[19, 0, 7]])).detach().numpy())


def test_what_keeps_zeros_from_being_divided_stays_in_the_graph(publish, workers):
    catalog, source = publish("index", Index(), torch.rand(2, 2, 8, 8), {0: AUTO}, dims=IMAGE, results=IMAGE)
    x = np.zeros((2, 2, 8, 8), np.float32)
    x[1] = np.random.default_rng(0).random((2, 8, 8))
    expected = Index()(torch.from_numpy(x)).numpy()
    item = export(ExportJob(source, "onnx"), catalog, workers=workers)
    with load(item) as model:
        found = model.predict(x)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_program_goes_to_openvino_directly_and_over_onnx_where_that_fails(publish, workers):
    results = {"middle": ("batch", "feature"), "label": ("batch",)}
    catalog, source = publish("quantiles", Quantiles(), torch.rand(2, 7, 4), {0: AUTO}, dims=SERIES, results=results)
    direct = export(ExportJob(source, "openvino"), catalog, workers=workers)
    assert [step.tool for step in read_item(direct).route] == ["openvino.frontend.pytorch"]
    over = export(ExportJob(source, "openvino", via="onnx"), catalog, workers=workers)
    assert [step.target_format for step in read_item(over).route] == ["onnx", "openvino"]
    x = np.random.default_rng(0).random((5, 7, 4), np.float32)
    expected = Quantiles()(torch.from_numpy(x))
    for item in (direct, over):
        with load(item) as model:
            found = model.predict(x)
        assert list(found) == ["middle", "label"]
        np.testing.assert_allclose(found["middle"], expected["middle"], atol=1e-6)
        np.testing.assert_array_equal(found["label"], expected["label"])
    description = read_item(catalog.get(source))
    ways = [[edge.target for edge in path] for path in ROUTES.ways(description, "openvino")]
    assert ways[:2] == [["openvino"], ["onnx", "openvino"]]


def test_axes_are_fixed_for_openvino_where_it_is_asked_for(publish, workers):
    catalog, source = publish(
        "fixed", Index(), torch.rand(2, 2, 8, 8), {0: AUTO, 2: AUTO, 3: AUTO}, dims=IMAGE, results=IMAGE
    )
    item = export(
        ExportJob(source, "openvino", options={"fixed": {"height": 16, "width": 24}}), catalog, workers=workers
    )
    description = read_item(item)
    assert description.inputs[0].input.shape == (-1, 2, 16, 24)
    assert description.closed == {"x": {"height": 16, "width": 24}}


def test_litert_torch_is_asked_for_or_not_used(publish, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setenv("MODELSTAC_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing"))
    catalog, source = publish("small", Index(), torch.rand(2, 2, 8, 8), {0: AUTO}, dims=IMAGE, results=IMAGE)
    with pytest.raises((DownloadError, ConversionError), match="the conversion from torch-export to litert") as caught:
        export(ExportJob(source, "litert"), catalog)
    assert "\n" not in str(caught.value)
    # Nobody who asks for everything asks for this, nor who asks for LiteRT of a model of Keras.
    downloading = [edge for edge in ROUTES if edge.downloads]
    assert [(edge.source, edge.target) for edge in downloading] == [("torch-export", "litert")]
    refused = {row.target: row.error for row in matrix(catalog) if row.error}
    assert "there is no conversion from torch-export to litert" in refused["litert"]
    assert set(NODES) - set(refused) >= {"onnx", "openvino"}


def test_the_environment_of_litert_torch_is_pinned():
    wanted = litert.requirements()
    named = {pin.name: pin.version for pin in wanted.pins}
    assert named["litert-torch"] == litert.VERSION
    assert named["torch"] == torch.__version__.partition("+")[0]
    assert [name for name, version in named.items() if version is None] == ["numpy"]


@pytest.mark.slow
def test_a_program_becomes_litert_and_resizing_is_that_of_pytorch(publish):
    """It downloads about 2 GB with PyTorch for the CPU (UV_FIND_LINKS, …), more with CUDA."""
    catalog, source = publish("nearest", Nearest(), torch.rand(2, 3, 32, 32), {0: AUTO}, dims=IMAGE, results=IMAGE)
    with Workers() as workers:
        item = export(ExportJob(source, "litert", options={"fixed": True}), catalog, workers=workers)
        results = {"middle": ("batch", "feature"), "label": ("batch",)}
        _, other = publish("quantiles", Quantiles(), torch.rand(2, 7, 4), {0: AUTO}, dims=SERIES, results=results)
        several = export(ExportJob(other, "litert", options={"fixed": True}), catalog, workers=workers)
    assert re.fullmatch(r"litert-torch with resizing written out", read_item(item).route[-1].tool)
    x = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    with load(item) as model:
        np.testing.assert_allclose(model.predict(x), Nearest()(torch.from_numpy(x)), atol=1e-6)
    y = np.random.default_rng(0).random((2, 7, 4), np.float32)
    with load(several) as model:
        found, expected = model.predict(y), Quantiles()(torch.from_numpy(y))
    np.testing.assert_allclose(found["middle"], expected["middle"], atol=1e-6)
    np.testing.assert_array_equal(found["label"], expected["label"])
