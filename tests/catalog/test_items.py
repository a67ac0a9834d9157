from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelstac.catalog.errors import IntegrityError, InvalidItemError, StorageError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription, Parity, Source, Step
from modelstac.catalog.items.reading import read_document, read_item
from modelstac.catalog.items.writing import write_item

Describe = Callable[..., ModelDescription]

GOLDEN = Path(__file__).parent / "golden" / "item.json"
PARITY = Parity(
    source="convlstm-knmi-1.0.0-torch",
    max_absolute_difference=1e-7,
    max_relative_difference=1e-6,
    root_mean_square_difference=1e-8,
    cases=6,
    absolute_tolerance=1e-5,
    relative_tolerance=1e-4,
    passed=True,
)


def everything(describe: Describe) -> ModelDescription:
    """Describe a Keras model with every optional field set."""
    return describe(
        variant="keras-torch",
        format="keras",
        framework_version="3.15.1",
        backend="torch",
        backend_version="2.13.0+cpu",
        entrypoint=None,
        memory_size=4096,
        accelerator="amd64",
        pretrained=True,
        pretrained_source="KNMI radar",
        sources=(
            Source(item_id="convlstm-knmi-1.0.0-torch", title="The PyTorch model"),
            Source(href="https://example.org/data", title="Radar", media_type="text/html"),
        ),
        route=(Step(source_format="torch", target_format="keras", tool="modelstac", version="0.1.0", warnings=("w",)),),
        parity=PARITY,
    )


def without_checksums(description: ModelDescription) -> ModelDescription:
    unknown = {"checksum": None, "size": None}
    assets = {key: asset.model_copy(update=unknown) for key, asset in description.assets.items()}
    return description.model_copy(update={**unknown, "assets": assets})


def test_the_item_is_the_golden_one(describe: Describe) -> None:
    document = write_item(everything(describe)).to_dict(transform_hrefs=False)
    for asset in document["assets"].values():
        asset["href"] = Path(asset["href"]).name
    assert document == json.loads(GOLDEN.read_text())


def test_everything_survives_the_round_trip_through_json(describe: Describe) -> None:
    made = everything(describe)
    text = json.dumps(write_item(made).to_dict(transform_hrefs=False))
    read = read_item(pystac.Item.from_dict(json.loads(text)))
    assert without_checksums(read) == made
    assert (read.checksum, read.size) == (hashlib.sha256(b"weights").hexdigest(), 7)
    assert read_item(write_item(read)) == read


names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.-]{1,20}[a-zA-Z0-9]", fullmatch=True)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.fixed_dictionaries(
        {
            "name": names,
            "version": st.from_regex(
                r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(-rc\.[1-9])?", fullmatch=True
            ),
            "variant": st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,10}", fullmatch=True),
            "title": st.text(min_size=1),
            "keywords": st.lists(st.text(), max_size=3).map(tuple),
            "hyperparameters": st.dictionaries(
                st.from_regex(r"[0-9a-zA-Z_.-]+", fullmatch=True), json_values, max_size=3
            ),
            "scores": st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        }
    ),
    times=st.tuples(moments, moments).map(sorted),
)
def test_any_description_survives_the_round_trip(
    describe: Describe, changes: dict[str, Any], times: list[datetime]
) -> None:
    made = describe(start=times[0], end=times[1], **changes)
    document = json.loads(json.dumps(write_item(made).to_dict(transform_hrefs=False)))
    assert without_checksums(read_item(pystac.Item.from_dict(document))) == made


def test_times_are_utc_and_the_box_follows_from_the_geometry(describe: Describe) -> None:
    made = describe(start=datetime(2010, 8, 26, 2, tzinfo=timezone(timedelta(hours=2))))
    assert made.start == datetime(2010, 8, 26, tzinfo=UTC)
    assert made.end == datetime(2010, 8, 26, 7, 35, tzinfo=UTC)
    assert made.bbox == (0, 49, 10, 55)


def test_an_item_with_remote_or_relative_assets_is_read(describe: Describe) -> None:
    item = write_item(describe())
    item.assets["model"].href = "https://example.org/models/model.safetensors"
    item.assets["metrics"].href = "./metrics.json"
    item.set_self_href("/catalog/convlstm-knmi/item.json")
    read = read_item(item)
    assert read.artifact == "https://example.org/models/model.safetensors"
    assert read.assets["metrics"].path == Path("/catalog/convlstm-knmi/metrics.json")


def test_a_remote_artifact_needs_its_checksum(describe: Describe) -> None:
    with pytest.raises(InvalidItemError, match="checksum and size must be given"):
        write_item(describe(artifact="https://example.org/model.safetensors"))
    made = describe(artifact="https://example.org/model.safetensors", checksum="0" * 64, size=7)
    assert read_item(write_item(made)).artifact == made.artifact


def test_a_file_that_changed_since_it_was_described_is_refused(describe: Describe) -> None:
    read = read_item(write_item(describe()))
    assert isinstance(read.artifact, Path)
    read.artifact.write_bytes(b"Weights")
    with pytest.raises(IntegrityError, match="has SHA-256"):
        write_item(read)


def test_a_missing_artifact_is_named(describe: Describe, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.bin"):
        write_item(describe(artifact=tmp_path / "gone.bin"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "../../etc"}, "name"),
        ({"name": "x"}, "name"),
        ({"version": "1.0"}, "no semantic version"),
        ({"version": "1.0.0+local"}, "build metadata"),
        ({"variant": "Keras TF"}, "variant"),
        ({"framework_version": "2.19"}, "no semantic version"),
        ({"format": "pickle"}, "unknown format 'pickle'"),
        ({"tasks": ("nowcasting",)}, "tasks.0"),
        ({"accelerator": "cpu"}, "accelerator"),
        ({"start": datetime(2020, 1, 1)}, "is before start"),
        ({"backend": "torch"}, "backend and backend_version need each other"),
        ({"hyperparameters": {"learning rate": 1}}, "learning rate"),
        ({"scores": {"csi": float("nan")}}, "scores"),
        ({"cube_variables": {}}, "cube_variables lacks rainfall_rate"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}}, "ring"),
        ({"geometry": {"type": "Point", "coordinates": [256000, 0]}}, "no longitude and latitude"),
        ({"geometry": {"type": "Circle"}}, "type 'Circle'"),
        ({"assets": {"model": ExtraAsset(path="x", media_type="text/plain")}}, "belongs to the artifact"),
        ({"sources": ({"title": "nowhere"},)}, "needs an item_id or an href"),
        ({"titel": "x"}, "titel"),
    ],
)
def test_nonsense_is_refused_in_one_line(describe: Describe, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidItemError) as caught:
        describe(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def drop_model_role(item: pystac.Item) -> None:
    item.assets["model"].roles = ["data"]


def two_models(item: pystac.Item) -> None:
    item.assets["metrics"].roles = ["mlm:model"]


def other_checksum(item: pystac.Item) -> None:
    item.assets["metrics"].extra_fields["file:checksum"] = "1114" + "0" * 40


def no_size(item: pystac.Item) -> None:
    del item.assets["model"].extra_fields["file:size"]


def other_id(item: pystac.Item) -> None:
    item.id = "another"


def other_collection(item: pystac.Item) -> None:
    item.collection_id = "another"


def no_version(item: pystac.Item) -> None:
    del item.properties["version"]


def no_input(item: pystac.Item) -> None:
    del item.properties["mlm:input"]


def unknown_artifact(item: pystac.Item) -> None:
    del item.properties["interop:format"]
    item.assets["model"].extra_fields["mlm:artifact_type"] = "pickle.dump"


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (drop_model_role, "has 0 assets with the role 'mlm:model'"),
        (two_models, "has 2 assets"),
        (other_checksum, "no SHA-256 multihash"),
        (no_size, "lacks file:checksum or file:size"),
        (other_id, "should be 'convlstm-knmi-1.0.0-torch'"),
        (other_collection, "of collection 'another'"),
        (no_version, "version"),
        (no_input, "inputs"),
        (unknown_artifact, "pickle.dump"),
    ],
)
def test_an_item_that_is_no_model_is_refused(
    describe: Describe, mutate: Callable[[pystac.Item], None], message: str
) -> None:
    item = write_item(describe())
    mutate(item)
    with pytest.raises(InvalidItemError) as caught:
        read_item(item)
    assert message in str(caught.value)


def test_what_is_shared_with_an_item_before_is_what_is_read_alone(describe: Describe) -> None:
    document = write_item(everything(describe)).to_dict(transform_hrefs=False)
    alone, first, second = (read_document(document, shared=shared) for shared in (False, True, True))
    assert alone == first == second
    assert first.inputs[0] is second.inputs[0]
    assert alone.inputs[0] is not first.inputs[0]
    [tensor] = document["properties"]["mlm:input"]
    document["properties"]["mlm:input"] = [tensor | {"description": "Another"}]
    assert read_document(document, shared=True).inputs[0].description == "Another"


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        "frames",
        [{"name": "frames"}],
        [{"name": "", "input": {"shape": [1], "dim_order": ["batch"], "data_type": "float32"}}],
        [{"name": {"frames"}}],
    ],
)
def test_inputs_are_refused_in_the_same_words_shared_or_not(describe: Describe, wrong: Any) -> None:
    document = write_item(describe()).to_dict(transform_hrefs=False)
    read_document(document, shared=True)  # a right one before
    document["properties"]["mlm:input"] = wrong
    said = []
    for shared in (False, True):
        with pytest.raises(InvalidItemError) as caught:
            read_document(document, shared=shared)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "inputs" in said[0]


def test_the_format_follows_from_the_artifact_type(describe: Describe) -> None:
    item = write_item(describe())
    del item.properties["interop:format"]
    assert read_item(item).format == "torch"
