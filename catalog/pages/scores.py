"""Scores of a model: the metric that matters first, those of simple forecasts beside, equal ones once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelstac.catalog.pages.values import Document, mapping, number, properties, short, text

MAIN = "interop:main_metric"
BASELINES = ("persistence", "extrapolation")
MOST_NAMES = 4
"""So many versions are named that share scores."""
MOST = 6
"""So many columns of scores are shown, those of the newest versions."""
USUAL = (
    *("miou", "map", "f1", "dice", "iou", "jaccard", "kappa", "accuracy", "auc", "r2"),
    *("rmse", "csi", "mae", "mse", "ssim", "psnr", "loss"),
)
"""Where nobody says which metric matters: the first of these."""
_ALSO = {"mean_iou": "miou", "overall_accuracy": "accuracy", "acc": "accuracy", "auroc": "auc", "roc_auc": "auc"}
_WRITTEN = {
    "miou": "mIoU",
    "iou": "IoU",
    "map": "mAP",
    "f1": "F1",
    "r2": "R²",
    "kappa": "kappa",
    "bias": "bias",
    "dice": "Dice",
    "loss": "loss",
}
_BEFORE = ("val_", "valid_", "validation_", "test_", "eval_")


@dataclass(frozen=True)
class Column:
    """Scores that some items share.

    Parameters
    ----------
    title
        Whose they are.
    cells
        One for each metric of the table.
    """

    title: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """A table of scores.

    Parameters
    ----------
    metrics
        Titles of the rows, the main one first.
    columns
        From the newest version on, then simple forecasts.
    main
        Title and value of the main metric of the newest version.
    said
        Whether the publisher named it.
    left
        How many columns are left out.
    """

    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    main: tuple[str, str]
    said: bool
    left: int


def known_scores(item: Document) -> dict[str, float]:
    """Return the scores of an item that are numbers."""
    found = mapping(properties(item).get("interop:scores"))
    return {name: value for name, one in found.items() if (value := number(one)) is not None}


def main_metric(said: object, names: Iterable[str]) -> str | None:
    """Return the metric that matters: the one that its publisher names, or the most usual one; None without scores.

    Parameters
    ----------
    said
        ``interop:main_metric`` of an item.
    names
        Names of its scores.
    """
    own = sorted(name for name in names if not _is_baseline(name))
    if isinstance(said, str) and said in own:
        return said
    ranked = sorted(own, key=lambda name: (_rank(name), name.count("_"), len(name)))
    return ranked[0] if ranked else None


def in_order(said: object, names: Iterable[str]) -> list[str]:
    """Return names of scores without those of simple forecasts, the main metric first and the usual ones next."""
    own = [name for name in names if not _is_baseline(name)]
    main = main_metric(said, own)
    return sorted(own, key=lambda name: (name != main, _rank(name), name.casefold()))


def title(name: str) -> str:
    """Return the name of a score as people write it: ``csi_0.5_mm_h`` is CSI 0.5 mm/h."""
    plain = text(name).replace("_mm_per_h", "_mm/h").replace("_mm_h", "_mm/h")
    if any(letter.isupper() for letter in plain):
        return plain.replace("_", " ")
    first, *rest = plain.split("_")
    whole = _WRITTEN.get(first) or (first.upper() if len(first) <= 4 else first)
    return " ".join(part for part in (whole, *rest) if part)


def table(items: Sequence[Document]) -> Scores | None:
    """Return the scores of a model's items, which come from the newest version on; None where none has any."""
    groups: dict[tuple[tuple[str, float], ...], list[Document]] = {}
    for item in items:
        if found := known_scores(item):
            groups.setdefault(tuple(sorted(found.items())), []).append(item)
    if not groups:
        return None
    (first, newest), *_ = groups.items()
    said = next(
        (name for one in newest if isinstance(name := properties(one).get(MAIN), str) and name in dict(first)), None
    )
    names = in_order(said, dict.fromkeys(name for scores in groups for name, _ in scores))
    main = main_metric(said, dict(first))
    if not names or main is None:
        return None
    names = [main, *(name for name in names if name != main)]
    shown = list(groups.items())[:MOST]
    scored = Counter(text(properties(item).get("version")) for found in groups.values() for item in found)
    columns = [Column(_whose(found, scored), _cells(dict(scores), names)) for scores, found in shown]
    for baseline in BASELINES:
        cells = _cells(dict(first), [f"{baseline}_{name}" for name in names])
        columns += [Column(baseline, cells)] if any(cells) else []
    value = dict(first)[main]
    return Scores(
        tuple(map(title, names)),
        tuple(columns),
        (title(main), _shown(value)),
        said is not None,
        len(groups) - len(shown),
    )


def _cells(scores: Mapping[str, float], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_shown(scores[name]) if name in scores else "" for name in names)


def _shown(value: float) -> str:
    return short(value) if value == 0 or abs(value) >= 1000 or abs(value) < 0.001 else f"{value:.3f}"


def _whose(found: Sequence[Document], scored: Mapping[str, int]) -> str:
    """Name the items that share scores: by their version where these are all of it that have any."""
    versions: dict[str, list[str]] = {}
    for item in found:
        said = properties(item)
        variant = text(said.get("interop:variant")) or text(item.get("id"))
        versions.setdefault(text(said.get("version")), []).append(variant)
    named = [
        version if version and scored[version] == len(variants) else f"{version} {', '.join(variants)}".strip()
        for version, variants in versions.items()
    ]
    more = f"; {len(named) - MOST_NAMES} more" if len(named) > MOST_NAMES else ""
    return "; ".join(named[:MOST_NAMES]) + more


def _is_baseline(name: str) -> bool:
    return name.startswith(tuple(f"{baseline}_" for baseline in BASELINES))


def _rank(name: str) -> int:
    plain = name.casefold().replace("-", "_")
    for before in _BEFORE:
        plain = plain.removeprefix(before)
    plain = next((known for also, known in _ALSO.items() if plain == also), plain)
    first = re.split(r"[_ @]", plain)[0]
    return USUAL.index(first) if first in USUAL else len(USUAL)
