"""What layers of Keras give of what they take: lengths of axes, computed of their settings as Keras computes them.

Those of ``compute_output_shape`` in keras/src/layers, for layers that networks end with; of others nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modelstac.registry.inspecting.folders import words

Shape = list[int | None]
Config = Mapping[str, Any]

SAME = words(
    """Activation ActivityRegularization AlphaDropout BatchNormalization Dropout ELU GaussianDropout GaussianNoise
    GroupNormalization Identity LayerNormalization LeakyReLU Normalization PReLU RMSNormalization ReLU Rescaling Softmax
    SpatialDropout1D SpatialDropout2D SpatialDropout3D UnitNormalization"""
)
"""They give as they take."""
FLOATS = words(
    """Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Dense
    DepthwiseConv1D DepthwiseConv2D Embedding GRU LSTM Normalization Rescaling SeparableConv1D SeparableConv2D
    SimpleRNN"""
)
"""They give numbers of the type with which they compute, whatever they take; others do where they take fractions."""
WRAPPERS = frozenset({"Bidirectional", "TimeDistributed"})
"""They run the layer that they hold."""


def given(kind: str, config: Config, taken: Sequence[Shape]) -> Shape | None:
    """Compute the shape that a layer gives.

    Parameters
    ----------
    kind, config
        Its class, and its settings in ``config.json``.
    taken
        The shapes that it takes.

    Returns
    -------
    list or None
        Length of each axis, None where it is open; None altogether where nothing here knows the layer.

    Raises
    ------
    ValueError, LookupError, TypeError
        If its settings make no sense.
    """
    if kind in SAME:
        return list(taken[0]) if len(taken) == 1 else None
    if kind in _MERGING:
        return list(taken[0]) if all(shape == taken[0] for shape in taken) else None
    if kind == "Concatenate":
        return _joined(config, taken)
    rule = _RULES.get(kind)
    return None if rule is None or len(taken) != 1 else rule(config, list(taken[0]))


_MERGING = words("Add Average Maximum Minimum Multiply Subtract")


def _joined(config: Config, taken: Sequence[Shape]) -> Shape:
    found = list(taken[0])
    axis = int(config["axis"]) % len(found)
    lengths = [shape[axis] for shape in taken]
    found[axis] = None if None in lengths else sum(n for n in lengths if n is not None)
    return found


def _dense(config: Config, shape: Shape) -> Shape:
    return [*shape[:-1], int(config["units"])]


def _embedding(config: Config, shape: Shape) -> Shape:
    return [*shape, int(config["output_dim"])]


def _on_images(config: Config, shape: Shape, channels: int | None, each: Callable[[int, int], int]) -> Shape:
    """Change the axes of an image, each by its place; and their channels, unless None."""
    begin = 2 if _first(config) else 1
    found = list(shape)
    for place in range(len(shape) - 2):
        length = found[begin + place]
        found[begin + place] = None if length is None else each(place, length)
    if channels is not None:
        found[1 if _first(config) else -1] = channels
    return found


def _convolved(config: Config, shape: Shape) -> Shape:
    if "filters" in config:
        channels = int(config["filters"])
    else:  # of a depthwise convolution
        channels = int(config["depth_multiplier"]) * int(shape[1 if _first(config) else -1] or 0)
    return _on_images(config, shape, channels, lambda place, length: _slid(config, "kernel_size", place, length))


def _first(config: Config) -> bool:
    return config.get("data_format") == "channels_first"


def _pooled(config: Config, shape: Shape) -> Shape:
    return _on_images(config, shape, None, lambda place, length: _slid(config, "pool_size", place, length))


def _slid(config: Config, window: str, place: int, length: int) -> int:
    """Give how many places a window has along an axis."""
    size, stride = _at(config[window], place), _at(config.get("strides") or config[window], place)
    if config["padding"] != "valid":
        return -(-length // stride)
    return (length - _dilated(config, size, place)) // stride + 1


def _dilated(config: Config, size: int, place: int) -> int:
    return size + (size - 1) * (_at(config.get("dilation_rate") or 1, place) - 1)


def _at(value: Any, place: int) -> int:
    return int(value[place]) if isinstance(value, list) else int(value)


def _transposed(config: Config, shape: Shape) -> Shape | None:
    if config.get("output_padding") is not None:
        return None

    def grown(place: int, length: int) -> int:
        size, stride = _dilated(config, _at(config["kernel_size"], place), place), _at(config["strides"], place)
        return length * stride + (max(size - stride, 0) if config["padding"] == "valid" else 0)

    return _on_images(config, shape, int(config["filters"]), grown)


def _upsampled(config: Config, shape: Shape) -> Shape:
    return _on_images(config, shape, None, lambda place, length: length * _at(config["size"], place))


def _pad_of(config: Config, name: str, place: int) -> int:
    found = config[name]
    one = found[place] if isinstance(found, list) and isinstance(found[0], list) else found
    return sum(map(int, one)) if isinstance(one, list) else 2 * int(one)


def _padded(config: Config, shape: Shape) -> Shape:
    return _on_images(config, shape, None, lambda place, length: length + _pad_of(config, "padding", place))


def _cropped(config: Config, shape: Shape) -> Shape:
    return _on_images(config, shape, None, lambda place, length: length - _pad_of(config, "cropping", place))


def _over_all(config: Config, shape: Shape) -> Shape:
    kept = shape[1] if _first(config) else shape[-1]
    if config.get("keepdims"):
        ones: Shape = [1] * (len(shape) - 2)
        return [shape[0], kept, *ones] if _first(config) else [shape[0], *ones, kept]
    return [shape[0], kept]


def _flat(_: Config, shape: Shape) -> Shape:
    return [shape[0], _product(shape[1:])]


def _product(lengths: Sequence[int | None]) -> int | None:
    return None if None in lengths else math.prod(n for n in lengths if n is not None)


def _reshaped(config: Config, shape: Shape) -> Shape:
    target: Shape = [int(n) for n in config["target_shape"]]
    if -1 in target:
        whole, rest = _product(shape[1:]), math.prod(n for n in target if n not in {-1, None})
        target[target.index(-1)] = None if whole is None else whole // rest
    return [shape[0], *target]


def _permuted(config: Config, shape: Shape) -> Shape:
    return [shape[0], *(shape[int(n)] for n in config["dims"])]


def _recurrent(config: Config, shape: Shape) -> Shape | None:
    if config.get("return_state"):
        return None
    units = int(config["units"])
    return [*shape[:2], units] if config.get("return_sequences") else [shape[0], units]


def _convolved_in_time(config: Config, shape: Shape) -> Shape | None:
    if config.get("return_state"):
        return None
    made = _convolved(config, [shape[0], *shape[2:]])
    return [made[0], shape[1], *made[1:]] if config.get("return_sequences") else made


def _in_time(config: Config, shape: Shape) -> Shape | None:
    inner = config["layer"]
    made = given(str(inner["class_name"]), inner["config"], [[shape[0], *shape[2:]]])
    return None if made is None else [made[0], shape[1], *made[1:]]


def _both_ways(config: Config, shape: Shape) -> Shape | None:
    inner = config["layer"]
    made = given(str(inner["class_name"]), inner["config"], [shape])
    if made is None or config["merge_mode"] is None:
        return None
    return [*made[:-1], 2 * int(made[-1] or 0)] if config["merge_mode"] == "concat" else made


_RULES: Mapping[str, Callable[[Config, Shape], Shape | None]] = MappingProxyType(
    {"Dense": _dense, "Embedding": _embedding, "Flatten": _flat, "Reshape": _reshaped, "Permute": _permuted}
    | {f"Conv{n}D": _convolved for n in (1, 2, 3)}
    | {f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)}
    | {f"{kind}Conv{n}D": _convolved for n in (1, 2) for kind in ("Separable", "Depthwise")}
    | {f"{kind}Pooling{n}D": _pooled for n in (1, 2, 3) for kind in ("Max", "Average")}
    | {f"Global{kind}Pooling{n}D": _over_all for n in (1, 2, 3) for kind in ("Max", "Average")}
    | {f"UpSampling{n}D": _upsampled for n in (1, 2, 3)}
    | {f"ZeroPadding{n}D": _padded for n in (1, 2, 3)}
    | {f"Cropping{n}D": _cropped for n in (1, 2, 3)}
    | dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _recurrent)
    | {f"ConvLSTM{n}D": _convolved_in_time for n in (1, 2, 3)}
    | {"TimeDistributed": _in_time, "Bidirectional": _both_ways}
)
