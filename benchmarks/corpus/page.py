"""The page of results."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmarks.corpus.entries import Entry
from benchmarks.corpus.families import FORMATS
from benchmarks.corpus.running import OURS, RIGHT, TARGETS, TOOLS, Cell, Run, cells, summary

Record = Mapping[str, Any]
FEWER, NAN = "of these in fewer sizes", "of these but for NaN"
FIELDS = ("right", FEWER, NAN, "on its own range", "wrong", "does not run", "refused", "crashed")


def failures(run: Run, entries: Mapping[str, Entry]) -> str:
    """List all cells of ours that are not right, a line each."""
    lines = [
        f"- {cell.route} | {cell.key} | {summary(found)}\n"
        for cell, found in measured(run, cells(entries, ours=True, peers=False))
        if found.get("verdict") != "right"
    ]
    return "".join(sorted(lines))


def measured(run: Run, wanted: Iterable[Cell]) -> Iterator[tuple[Cell, Record]]:
    """Give the cells that were measured, of what is there now."""
    for cell in wanted:
        found = run.results.find(cell)
        if found is not None and run.is_current(cell, found):
            yield cell, found


def kind_of(found: Record) -> str:
    """Give the column in which a cell counts."""
    verdict = found.get("verdict")
    if verdict in RIGHT:
        return "right"
    if verdict == "right on its own range":
        return "on its own range"
    if verdict == "wrong":
        return "wrong"
    if verdict in {"does not load", "does not run"}:
        return "does not run"
    return "crashed" if "crashed" in {verdict, found["status"]} else "refused"


def write(run: Run, entries: Mapping[str, Entry]) -> str:
    """Write the page: a table of the routes, what was refused and why, and what is not right."""
    entries = {key: entry for key, entry in entries.items() if run.is_built(key)}
    counted = Counter(FORMATS[entry.kind] for entry in entries.values())
    every = [*measured(run, cells(entries, ours=True, peers=True))]
    states = Counter(found["code"] for cell, found in every if cell.who == OURS)
    seconds = sum(found["took"] for cell, found in every if cell.who == OURS)
    wanted = sum(1 for _ in cells(entries, ours=True, peers=True))
    parts = [
        "# A corpus of public architectures\n",
        f"Written by `python -m benchmarks.corpus` on {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}; nothing here is typed in. "
        f"{len(entries)} architectures with random weights: "
        + ", ".join(f"{count} {form}" for form, count in counted.items())
        + f". {len(every)} of {wanted} conversions were measured; ours took {seconds / 60:.0f} minutes, one by one. "
        f"State of the code: {', '.join(f'`{code}` ({n})' for code, n in states.most_common())}. "
        "How they are judged: [conversions](../conversions.md#a-corpus-of-architectures).\n",
        "## By route\n",
        "Right: equal to the source on its own range, zeros, negative and large values, in every size that the file "
        "takes. In fewer sizes: the file is for one batch or one size of image, and its source for any. But for NaN: "
        "right, and missing pixels come out as other numbers than in the source, or the reverse. "
        "Wrong: what was published, or written, is not what the source computes.\n",
        *table(run, entries),
        "\n## Where a public converter is right and ours is not\n",
        *behind(run, entries),
        "\n## What is refused, and why\n",
        *refusals(every),
        "\n## What is published and not right everywhere\n",
        *apart(every),
    ]
    return "\n".join(parts) + "\n"


def routes() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give source, target and the public converters of each route."""
    for form, targets in TARGETS.items():
        for target in targets:
            yield form, target, TOOLS[form, target]


def table(run: Run, entries: Mapping[str, Entry]) -> Iterator[str]:
    """Count by route and tool."""
    yield "| route | converter | models | " + " | ".join(FIELDS) + " |"
    yield "| --- | --- |" + " ---: |" * (1 + len(FIELDS))
    every = [*measured(run, cells(entries, ours=True, peers=True))]
    for form, target, tools in routes():
        for who in (OURS, *tools):
            found = [r for c, r in every if (FORMATS[c.kind], c.target, c.who) == (form, target, who)]
            counted = Counter(map(kind_of, found))
            counted[NAN] = sum(r.get("verdict") == "right but for NaN" for r in found)
            counted[FEWER] = sum(kind_of(r) == "right" and "not run" in r for r in found)
            numbers = " | ".join(str(counted[name]) for name in FIELDS)
            yield f"| {form} → {target} | {'**ours**' if who == OURS else who} | {len(found)} | {numbers} |"


def behind(run: Run, entries: Mapping[str, Entry]) -> Iterator[str]:
    """List what others convert and we do not."""
    by_cell: dict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
    for cell, found in measured(run, cells(entries, ours=True, peers=True)):
        by_cell[cell.key, cell.target][cell.who] = found
    lines = []
    for (key, target), whos in by_cell.items():
        able = [who for who, found in whos.items() if who != OURS and kind_of(found) == "right"]
        if able and OURS in whos and kind_of(whos[OURS]) != "right":
            lines.append(f"| {plain(key)} | {target} | {plain(summary(whos[OURS]))} | {', '.join(able)} |")
    yield from (["| model | to | ours | right by |", "| --- | --- | --- | --- |", *lines] if lines else ["Nowhere."])


def refusals(every: Iterable[tuple[Cell, Record]]) -> Iterator[str]:
    """Group what is refused by its reason."""
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell, found in every:
        if cell.who == OURS and kind_of(found) in {"refused", "crashed"}:
            grouped[cell.route, reason(found)].append(cell.key.split(": ", 1)[1])
    yield "| route | reason | models |"
    yield "| --- | --- | --- |"
    for (route, why), names in sorted(grouped.items()):
        yield f"| {route} | {plain(why)} | {plain(', '.join(names))} |"


def apart(every: Iterable[tuple[Cell, Record]]) -> Iterator[str]:
    """List what is published and not right on every input."""
    yield "| model | to | what |"
    yield "| --- | --- | --- |"
    for cell, found in every:
        if cell.who == OURS and found["status"] == "published" and found.get("verdict") != "right":
            yield f"| {plain(cell.key)} | {cell.target} | {plain(summary(found))} |"


def reason(found: Record) -> str:
    """Give why something was refused, without what is of this model alone."""
    text = re.sub(r"'?[\w.-]+-1\.0\.0-[\w-]+'?", "it", str(found["reason"]))
    text = re.sub(r"(?:/[\w.-]+)+/site-packages/", "", text)  # where it lies on one machine
    return re.sub(r"\d[\d.]*e[+-]\d+", "…", text)[:240]


def plain(text: str) -> str:
    """Give text that stands in a table."""
    return " ".join(re.sub(r"\x1b?\[\d+m", "", text).split()).replace("|", "\\|").replace("<", "‹").replace("](", "] (")
