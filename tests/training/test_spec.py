from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.training.jobs.recipes import preset
from modelstac.training.spec import PRESETS, ConvLSTMSpec

specs = st.integers(1, 4).flatmap(
    lambda layers: st.builds(
        ConvLSTMSpec,
        filters=st.lists(st.integers(1, 64), min_size=layers, max_size=layers).map(tuple),
        kernels=st.lists(st.sampled_from([1, 3, 5, 7]), min_size=layers, max_size=layers).map(tuple),
        cell_activation=st.sampled_from(["linear", "tanh", "leaky_relu"]),
        recurrent_activation=st.sampled_from(["sigmoid", "hard_sigmoid"]),
        batch_norm=st.booleans(),
        leaky_slope=st.floats(0, 0.99),
        frames=st.integers(1, 30),
        height=st.integers(1, 400),
        width=st.integers(1, 400),
    )
)


@given(specs)
def test_json_and_back(spec):
    assert ConvLSTMSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_reference_has_the_published_number_of_parameters():
    reference = preset("reference")
    assert reference.parameters == 1_965_761
    assert (reference.filters, reference.kernels) == ((64,) * 4, (7, 5, 3, 1))
    assert (reference.frames, reference.height, reference.width) == (18, 344, 315)


def test_a_spec_is_frozen_and_hashable():
    assert len({*PRESETS.values(), preset("tiny")}) == len(PRESETS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("tiny").frames = 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filters": []}, "filters must be a list of positive integers"),
        ({"filters": "88"}, "filters must be a list of positive integers"),
        ({"filters": [8, 0]}, "filters must be positive integers, not 0"),
        ({"filters": [8, True]}, "filters must be positive integers, not True"),
        ({"filters": [8, 8.0]}, "filters must be positive integers, not 8.0"),
        ({"filters": [8]}, "one number for each layer, not 1 and 2"),
        ({"kernels": [3, 4]}, "kernels must be odd.* not 4"),
        ({"cell_activation": "relu"}, "cell_activation must be one of linear, tanh, leaky_relu, not 'relu'"),
        ({"cell_activation": ["tanh"]}, "cell_activation must be one of"),
        ({"recurrent_activation": "tanh"}, "recurrent_activation must be one of sigmoid, hard_sigmoid"),
        ({"output_activation": "linear"}, "output_activation must be one of sigmoid"),
        ({"batch_norm": "yes"}, "batch_norm must be true or false"),
        ({"leaky_slope": -0.1}, "leaky_slope must be a number"),
        ({"batch_norm_momentum": 1}, "batch_norm_momentum must be a number from 0 to below 1"),
        ({"leaky_slope": float("nan")}, "leaky_slope must be a number"),
        ({"frames": 0}, "frames must be positive integers, not 0"),
        ({"height": None}, "height must be positive integers, not None"),
        ({"fliters": [8, 8]}, "has no field 'fliters'; known: filters, kernels"),
    ],
)
def test_nonsense_is_refused_in_one_line(fields, message):
    with pytest.raises(SpecError, match=message) as caught:
        ConvLSTMSpec.from_dict({"filters": [8, 8], "kernels": [5, 3]} | fields)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named():
    with pytest.raises(SpecError, match="needs the field 'kernels'"):
        ConvLSTMSpec.from_dict({"filters": [8, 8]})


def test_something_else_than_a_mapping_is_refused():
    with pytest.raises(SpecError, match="not list"):
        ConvLSTMSpec.from_dict([8, 8])


def test_an_unknown_preset_is_refused_with_the_near_one():
    with pytest.raises(NotFoundError, match=r"no preset 'tinny'.* did you mean 'tiny'"):
        preset("tinny")
