"""How far a conversion is from its source, in words: never "equal" without what was allowed, and by whom."""

from __future__ import annotations

import pytest

from modelstac.catalog.items.evidence import instead, told_cases, told_parity

EARLIER = {
    "source": "a-1.0.0-torch",
    "max_absolute_difference": 2.3e-5,
    "absolute_tolerance": 1e-5,
    "relative_tolerance": 1e-4,
    "cases": 12,
    "passed": True,
}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "at most 2.3e-05 apart (allowed 1e-05 of outputs up to 1, and more of larger ones)"),
        ({"allowed_difference": 4e-5}, "at most 2.3e-05 apart (allowed 4.0e-05, 1e-05 of the largest value)"),
        (
            {"max_absolute_difference": 1e-7, "allowed_difference": 2e-6},
            "at most 1.0e-07 apart (allowed 2.0e-06, 0.0001 of the largest value)",
        ),
        (
            {"absolute_tolerance": 0.25, "allowed_difference": 0.25, "tolerance_by": "asked for in the conversion"},
            "at most 2.3e-05 apart (allowed 0.25, asked for in the conversion)",
        ),
        ({"differing_ppm": 12.4}, "12 of a million values differ"),
        ({"differing_ppm": 12.4, "differing_ppm_tolerance": 100}, "12 of a million values differ (allowed 100)"),
    ],
)
def test_what_was_allowed_stands_beside_what_was_found(fields, said):
    assert told_parity(EARLIER | fields) == said


def test_cases_that_do_not_count_are_told():
    assert told_cases(EARLIER) == "12 cases"
    assert told_cases(EARLIER | {"judged_cases": 12}) == "12 cases"
    found = EARLIER | {"judged_cases": 10, "unjudged_difference": 0.2, "judged_on": "x 0 to 1 (its scaling)"}
    assert told_cases(found | {"batch_difference": 0.02}) == (
        "10 of 12 cases (the others beyond what it is fed, or unsteady, up to 2.0e-01 apart); judged on x 0 to 1 "
        "(its scaling); the result of a sample moves by 2.0e-02 with the others of its batch"
    )


def test_a_scene_is_not_told_of_versions() -> None:
    assert "version" not in instead("S2A_32ULC", {"datetime": "2024-04-15T10:30:00Z", "eo:cloud_cover": 3})
    assert instead("others", {"mlm:name": "others"}) == "publish under a new version"
