"""The parts of a page by themselves: scores in order, places on a map, cards, citations."""

from __future__ import annotations

from typing import Any

import pytest

from modelstac.catalog.pages import citation, markdown, places, scores, tensors
from modelstac.catalog.pages.versions import newest_first


@pytest.mark.parametrize(
    ("said", "names", "first"),
    [
        ("recall", ("accuracy", "recall"), "recall"),
        ("gone", ("loss", "val_accuracy"), "val_accuracy"),
        (None, ("F1_water", "IoU_water", "accuracy", "mIoU"), "mIoU"),
        (None, ("accuracy", "loss", "mean_iou"), "mean_iou"),
        (None, ("bias_mm_h", "csi_1_mm_h", "rmse_mm_h", "persistence_rmse_mm_h"), "rmse_mm_h"),
        (None, ("mape", "zeal"), "mape"),
        ({"odd": 1}, ("odd",), "odd"),
        (None, ("persistence_rmse",), None),
    ],
)
def test_the_metric_that_matters(said: object, names: tuple[str, ...], first: str | None) -> None:
    assert scores.main_metric(said, names) == first
    assert next(iter(scores.in_order(said, names)), None) == first


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("csi_0.5_mm_h", "CSI 0.5 mm/h"),
        ("rmse_mm_per_h", "RMSE mm/h"),
        ("miou", "mIoU"),
        ("IoU_bare_soil", "IoU bare soil"),
        ("overall_accuracy", "overall accuracy"),
        ("bias_mm_h", "bias mm/h"),
    ],
)
def test_scores_are_written_as_people_write_them(name: str, words: str) -> None:
    assert scores.title(name) == words


def item(version: str, variant: str, **said: Any) -> dict[str, Any]:
    return {"id": f"m-{version}-{variant}", "properties": {"version": version, "interop:variant": variant} | said}


def test_scores_that_are_equal_stand_once() -> None:
    found = {"rmse": 0.5, "persistence_rmse": 0.9}
    items = newest_first(
        [
            item("1.0.0", "torch", **{"interop:scores": {"rmse": 0.7}}),
            item("1.10.0", "torch", **{"interop:scores": found}),
            item("1.10.0", "onnx", **{"interop:scores": found, "interop:parity": {}}),
            item("1.9.0", "torch", **{"interop:scores": {"rmse": 0.6}}),
            item("1.9.0", "int8", **{"interop:scores": {"rmse": 0.65}}),
        ]
    )
    assert [one["id"] for one in items][:2] == ["m-1.10.0-torch", "m-1.10.0-onnx"]
    table = scores.table(items)
    assert table is not None
    assert [(c.title, c.cells) for c in table.columns] == [
        ("1.10.0", ("0.500",)),
        ("1.9.0 int8", ("0.650",)),
        ("1.9.0 torch", ("0.600",)),
        ("1.0.0", ("0.700",)),
        ("persistence", ("0.900",)),
    ]
    assert not table.said


def polygon(*ring: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(map(list, ring))]}


def test_a_footprint_is_drawn_with_north_up() -> None:
    found = places.footprint({"geometry": polygon((4, 50), (8, 50), (8, 53), (4, 50)), "bbox": [4, 50, 8, 53]})
    assert found is not None
    assert found.path == "M40 -500L80 -500L80 -530z"
    assert found.words == "4° E to 8° E, 50° N to 53° N"
    assert found.ring == (60, -515)
    assert found.near == "-60 -575 240 120"


def test_a_footprint_over_the_antimeridian_is_two() -> None:
    found = places.footprint({"geometry": None, "bbox": [170, -10, -170, 10]})
    assert found is not None
    assert found.path.count("M") == 2
    assert found.near is None
    assert found.words == "170° E to 170° W, 10° S to 10° N"


@pytest.mark.parametrize(
    ("geometry", "drawn"),
    [
        ({"type": "Point", "coordinates": [100, 10]}, "M999 -101h2v2h-2z"),
        ({"type": "Polygon", "coordinates": []}, None),
        ({"type": "Polygon", "coordinates": [[["a", 1]]]}, None),
        ({"type": "Blob"}, None),
        ("x", None),
    ],
)
def test_odd_geometries(geometry: object, drawn: str | None) -> None:
    found = places.footprint({"geometry": geometry})
    assert (None if found is None else found.path) == drawn


def test_a_footprint_of_many_positions_is_its_box() -> None:
    ring = [(i / 1000, 10.0) for i in range(5000)]
    found = places.footprint({"geometry": polygon(*ring), "bbox": [0, 10, 5, 11]})
    assert found is not None
    assert found.path == "M0 -100L50 -100L50 -110L0 -110z"


def test_the_first_sentence_of_a_card() -> None:
    assert markdown.sentence("# Title\n\nMaps *roofs* at 0.5 m. Made by us.") == "Maps roofs at 0.5 m."
    assert markdown.sentence("| a |\n| - |\n| 1 |") == ""
    assert markdown.sentence(None) == ""


def test_footnotes_are_read_where_they_stand() -> None:
    card = markdown.render("Of 2020.[^1] See [it].\n\n[it]: https://example.org\n\n[^1]: https://example.org/2020\n")
    assert "<p>Of 2020.[^1] See <a " in card
    assert "<p>[^1]: https://example.org/2020</p>" in card
    assert card.count("<a ") == 1


def test_a_card_has_tables_and_no_picture_from_elsewhere() -> None:
    card = str(
        markdown.render(
            "# A\n\n### B\n\n| x | y |\n| - | -: |\n| 1 | <i> |\n\n"
            "![plot](https://example.org/p.png) ![own](data:image/png;base64,AAAA) ![near](p.png)\n\n~~old~~"
        )
    )
    assert "<h3>A</h3>" in card
    assert "<h4>B</h4>" in card
    assert '<td class="right">&lt;i&gt;</td>' in card
    assert '<a href="https://example.org/p.png" rel="nofollow noopener">plot (picture)</a>' in card
    assert '<img src="data:image/png;base64,AAAA" alt="own">' in card
    assert "near (picture)" in card
    assert card.count("<img") == 1
    assert "style=" not in card


class Counted(list[Any]):
    """Tokens that tell how many of them were looked at by copying."""

    looked_at = 0

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        if isinstance(place, slice):
            Counted.looked_at += len(found)
        return found


def test_a_card_of_many_tables_takes_as_long_as_it_is() -> None:
    parser = markdown._parser()
    tokens = Counted(parser.parse("|a|\n|-|\n\n" * 300))
    found = parser.renderer.render(tokens, parser.options, {})
    assert [f"Table {n} of" in found for n in (1, 300, 301)] == [True, True, False]
    assert Counted.looked_at <= len(tokens)


def test_a_citation_is_latex() -> None:
    said = {
        "version": "1.0.0",
        "license": "MIT",
        "created": "2026-03-01T00:00:00Z",
        "providers": [{"name": "R&D_Lab", "roles": ["producer"]}, {"name": "Ada Lovelace", "roles": ["producer"]}],
    }
    found = citation.bibtex({"id": "a_b 1", "properties": said}, "50% {of} ~all", "https://example.org/{x}")
    assert found.splitlines() == [
        "@software{a-b-1,",
        r"  title = {{50\% \{of\} \textasciitilde{}all}},",
        r"  author = {{R\&D\_Lab} and Ada Lovelace},",
        "  year = {2026},",
        "  version = {1.0.0},",
        "  url = {https://example.org/%7Bx%7D},",
        "  note = {Licence: MIT},",
        "}",
    ]


def test_scaling_of_one_band_is_a_chain_and_of_several_one_each() -> None:
    steps = [{"type": "clip", "minimum": 0, "maximum": 30.6}, {"type": "scale", "value": 30.6}]
    layout = {"shape": [-1, 1, 8, 8], "dim_order": ["batch", "bands", "y", "x"], "data_type": "float32"}
    given = {"name": "x", "bands": ["B1"], "input": layout, "value_scaling": steps}
    [one] = tensors.tensors({"properties": {"mlm:input": [given]}}, "input")
    assert one.scaling == ("clip to 0 … 30.6", "x / 30.6")
    assert one.sheets is not None
    [two] = tensors.tensors({"properties": {"mlm:input": [given | {"bands": ["B1", "B2"]}]}}, "input")
    assert [band.scaling for band in two.bands] == ["clip to 0 … 30.6", "x / 30.6"]
    assert two.scaling == ()


def test_a_page_says_that_samples_are_to_run_one_at_a_time() -> None:
    given = {"name": "x", "input": {"shape": [-1, 2], "dim_order": ["batch", "feature"], "data_type": "float32"}}
    said = {"mlm:input": [given], "mlm:output": [given], "interop:batch_difference": 0.5}
    [one], [other] = (tensors.tensors({"properties": said}, side) for side in ("input", "output"))
    assert one.more == (("samples", "one at a time: the result of one moves with the others of its batch"),)
    assert other.more == ()
