"""Operators that jump, of values that lie on the jumps, as those that are stored in steps do everywhere."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from modelstac.exporters.converters.programs import dividing  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
TENTHS = (np.arange(-90, 90).reshape(3, 10, 6) / 10).astype(np.float32)


class Of(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("divisor", [0.1, -0.3, 0.7, 1 / 3, 360.0, -365.25, 0.01])
def test_whole_parts_and_rests_are_those_of_exact_arithmetic(dtype, divisor):
    rng = np.random.default_rng(1)
    x = np.concatenate([np.arange(-3000, 3000) / 10, rng.normal(0, 100, 4000), [0.0, -1e-9, 1e-9]]).astype(dtype)
    by = float(dtype(divisor))
    whole = np.array([math.floor(Fraction(float(value)) / Fraction(by)) for value in x], float)
    rests = np.array([math.fmod(float(value), by) for value in x]).astype(dtype)
    given = torch.from_numpy(x)
    np.testing.assert_array_equal(dividing.whole(given, divisor).numpy(), whole)
    np.testing.assert_array_equal(dividing.signed_rest(given, divisor).numpy(), rests)
    moved = np.where((rests != 0) & ((rests < 0) != (by < 0)), rests + dtype(by), rests)
    np.testing.assert_array_equal(dividing.rest(given, divisor).numpy(), moved)


def test_division_by_zero_and_of_what_is_missing_is_that_of_pytorch():
    x = torch.tensor([1.0, -1.0, 0.0, torch.nan, torch.inf, -torch.inf])
    for by in (0.0, 0.3):
        for ours, theirs in (
            (dividing.whole, torch.floor_divide),
            (dividing.rest, torch.remainder),
            (dividing.signed_rest, torch.fmod),
        ):
            torch.testing.assert_close(ours(x, by), theirs(x, by), rtol=0, atol=0, equal_nan=True)


def divided(x):
    """Divisions, by numbers and by another array."""
    other = x.flip(1).abs() + 0.1
    floor = torch.div(x, other, rounding_mode="floor")
    return torch.cat([x // 0.1, x % -0.3, torch.fmod(x, 0.1), floor, x % other, 3.0 % other], 1)


def placed(x):
    """Rows and columns of the largest values of an open grid."""
    rows, columns = x.shape[1:]
    places = (-x * torch.arange(1, columns + 1)).flatten(1).topk(4).indices
    found = [places // columns, places % columns, (places - 50) % columns, (places - 50) % (rows * columns)]
    return torch.stack(found, 1).float()


def told_apart(x):
    """Classes, the order of ties, and signs."""
    steps = x.round()
    clear = torch.isin(steps, torch.tensor([-1.0, 3.0]), invert=True).float()
    order = torch.argsort(steps, dim=1, stable=True, descending=True).float()
    signs = torch.copysign(x, steps.flip(1)), torch.sign(x) * steps
    return torch.cat([clear, order, *signs, torch.nn.functional.rrelu(x, training=False)], 1)


def binned(x):
    """Bins of quotients, and thresholds."""
    rounded = torch.round(x / 0.2), ((x - 0.5) / 0.1).int().float()
    return torch.cat([torch.floor(x / 0.1), torch.trunc(x / 0.3), *rounded, ((x - 3) / (x + 3.05) >= 0.5).float()], 1)


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("function", [divided, binned, told_apart, placed])
def test_values_in_steps_are_computed_as_pytorch_does(converted, function, target):
    expected = function(torch.from_numpy(TENTHS)).numpy()
    np.testing.assert_allclose(converted(Of(function), TENTHS, target), expected, rtol=0, atol=1e-6)


class Projected(torch.nn.Module):
    """A recurrence of which the hidden state is projected."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = torch.nn.LSTM(6, 8, 2, batch_first=True, proj_size=3, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of what is computed without oneDNN, and how a program is traced
def test_a_projected_recurrence_goes_to_onnx(converted):
    module = Projected().eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(TENTHS)).numpy()
    np.testing.assert_allclose(converted(module, TENTHS, "onnx"), expected, rtol=0, atol=1e-6)


class Operator(torch.nn.Module):
    """A layer of a Fourier neural operator: the lowest frequencies are mixed, and the others left out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(0.3 * torch.randn(3, 3, dtype=torch.cfloat))

    def forward(self, x):
        spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
        kept = torch.zeros_like(spectrum)
        kept[:, :3] = torch.einsum("btf,ts->bsf", spectrum[:, :3], self.weight)
        above = torch.nn.functional.pad(spectrum[:, :3], (0, 0, 0, x.shape[1] // 2 - 2))
        power = torch.fft.fftshift(torch.fft.rfft(x, dim=1).abs(), dim=1)
        back = [torch.fft.irfft(part, n=x.shape[1], dim=1, norm="ortho") for part in (kept, above)]
        return torch.cat([*back, power], 1)


def test_a_neural_operator_on_an_open_grid_goes_to_onnx(converted):
    module = Operator().eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(TENTHS)).numpy()
    np.testing.assert_allclose(converted(module, TENTHS, "onnx"), expected, rtol=0, atol=1e-4)
