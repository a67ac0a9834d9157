"""Build, convert, judge: each model by each route, what is known already left alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.corpus.digests import code_digest, file_digest, text_digest
from benchmarks.corpus.entries import Entry
from benchmarks.corpus.environments import python_of
from benchmarks.corpus.families import FORMATS
from benchmarks.corpus.workers import Worker

TARGETS = MappingProxyType(
    {
        "keras": ("onnx", "saved-model", "litert", "openvino", "torch-export"),
        "torch-export": ("onnx", "openvino", "litert"),
        "onnx": ("openvino",),
    }
)
TOOLS = MappingProxyType(
    {
        ("keras", "onnx"): ("Keras export, onnx",),
        ("keras", "saved-model"): ("Keras export, tf_saved_model",),
        ("keras", "litert"): ("Keras export, litert", "TFLiteConverter"),
        ("keras", "openvino"): ("Keras export, openvino", "openvino.convert_model of a SavedModel"),
        ("keras", "torch-export"): ("Keras export, torch",),
        ("torch-export", "onnx"): ("torch.onnx.export",),
        ("torch-export", "openvino"): ("openvino.convert_model",),
        ("torch-export", "litert"): ("litert_torch.convert",),
        ("onnx", "openvino"): ("openvino.convert_model of a file",),
    }
)
"""Public converters of each route."""
BUILDERS = MappingProxyType({"zoo": "zoo", "tools": "tools"})
"""Environment in which a kind is built, if it is not this one."""
OURS = "ours"
RIGHT = ("right", "right but for NaN")


@dataclass(frozen=True)
class Cell:
    """One conversion of one model by one tool."""

    key: str
    kind: str
    target: str
    who: str

    @property
    def route(self) -> str:
        """Its route as the tables call it."""
        return f"{FORMATS[self.kind]} → {self.target}"


def cells(entries: Mapping[str, Entry], *, ours: bool, peers: bool) -> Iterator[Cell]:
    """Give all cells of some architectures."""
    for key, entry in entries.items():
        form = FORMATS[entry.kind]
        for target in TARGETS[form]:
            if ours:
                yield Cell(key, entry.kind, target, OURS)
            if peers:
                yield from (Cell(key, entry.kind, target, tool) for tool in TOOLS[form, target])


class Results:
    """What was measured, a line each; of several the last counts."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: dict[tuple[str, str, str], dict[str, Any]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text().splitlines():
                self._keep(json.loads(line))

    def find(self, cell: Cell) -> dict[str, Any] | None:
        """Give what is known of a cell."""
        return self._known.get((cell.key, cell.target, cell.who))

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record."""
        with self._lock:
            self._keep(record)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def _keep(self, record: dict[str, Any]) -> None:
        self._known[record["key"], record["target"], record["who"]] = record


@dataclass
class Run:
    """A run over some architectures.

    Parameters
    ----------
    cache
        Folder of what is built, converted and measured.
    results
        What was measured.
    timeout
        Seconds for a cell.
    accepted
        Earlier states of the code, of which what was right counts, too.
    of_any_state
        Whether whatever was measured of a source counts, by any state of the code.
    """

    cache: Path
    results: Results
    timeout: float = 300
    accepted: tuple[str, ...] = ()
    of_any_state: bool = False
    _digests: dict[str, str] = field(default_factory=dict)

    def build(self, entries: Mapping[str, Entry]) -> dict[str, str]:
        """Build what is not there, or not as the source has it; give why some cannot be."""
        failed = {}
        for kind in dict.fromkeys(entry.kind for entry in entries.values()):
            made = {"KERAS_BACKEND": "tensorflow"}
            python = python_of(BUILDERS.get(kind), self.cache)
            log = self.cache / "logs" / f"building-{os.getpid()}.log"
            with Worker("benchmarks.corpus.building", log, python=python, environment=made, timeout=300) as worker:
                for key, entry in entries.items():
                    folder = self.folder(key)
                    wanted = text_digest(entry)
                    stamp = folder / "text"
                    if entry.kind != kind or (stamp.exists() and stamp.read_text() == wanted):
                        continue
                    shutil.rmtree(folder, ignore_errors=True)
                    answer = worker.ask({"key": key, "folder": str(folder)})
                    if "built" in answer:
                        stamp.write_text(wanted)
                    else:
                        failed[key] = str(answer.get("error") or answer)
        return failed

    def folder(self, key: str) -> Path:
        """Give the folder of a source."""
        return self.cache / "built" / slug(key)

    def digest(self, key: str) -> str:
        """Give the digest of what a source computes."""
        if key not in self._digests:
            self._digests[key] = hashlib.sha256((self.folder(key) / "cases.npz").read_bytes()).hexdigest()[:12]
        return self._digests[key]

    def facts(self, cell: Cell) -> dict[str, str]:
        """Give what a record is of: what the source computes, and the code that converts it."""
        return {"source": self.digest(cell.key), "code": code_digest() if cell.who == OURS else file_digest("peers.py")}

    def is_current(self, cell: Cell, known: Mapping[str, Any]) -> bool:
        """Tell whether a record is of what is there now."""
        if not self.is_built(cell.key) or known.get("source") != self.digest(cell.key):
            return False
        before = known.get("code") in self.accepted and known.get("verdict") in RIGHT
        return self.of_any_state or before or known.get("code") == self.facts(cell)["code"]

    def publish(self, keys: Sequence[str], catalog: Path, *, report: Any = print) -> None:
        """Publish what is built, each with an example, in a catalog for ``modelstac matrix``."""
        made, log = {"KERAS_BACKEND": "tensorflow"}, self.cache / "logs" / "publishing.log"
        with Worker("benchmarks.corpus.ours", log, environment=made, timeout=self.timeout) as worker:
            for key in keys:
                if self.is_built(key):
                    request = {"source": str(self.folder(key)), "target": None, "out": str(catalog)}
                    found = worker.ask(request)
                    report(f"{key}: {found.get('item') or found.get('reason') or found}")

    def measure(self, wanted: Sequence[Cell], *, report: Any = print) -> None:
        """Convert and judge what is not known."""
        log = self.cache / "logs" / f"{os.getpid()}-{threading.get_ident()}"
        judge = Worker("benchmarks.corpus.judging", log.with_suffix(".judge"), timeout=self.timeout)
        converter: Worker | None = None
        place = ("", "")
        try:
            for cell in wanted:
                known = self.results.find(cell)
                if not self.is_built(cell.key) or self._is_measured(cell, known):
                    continue
                if converter is None or place != _place(cell):  # one at a time: each holds its frameworks
                    if converter is not None:
                        converter.close()
                    place, converter = _place(cell), self._worker(cell, log)
                found = self._measured(cell, known, converter, judge)
                self.results.add(found)
                report(f"{found['took']:6.1f} s  {cell.who}  {cell.key} → {cell.target}: {summary(found)}")
        finally:
            judge.close()
            if converter is not None:
                converter.close()

    def is_built(self, key: str) -> bool:
        """Tell whether an architecture is there."""
        return (self.folder(key) / "text").exists()

    def _is_measured(self, cell: Cell, known: Mapping[str, Any] | None) -> bool:
        return known is not None and self.is_current(cell, known) and known.get("judge") == file_digest("judging.py")

    def _measured(
        self, cell: Cell, known: Mapping[str, Any] | None, converter: Worker, judge: Worker
    ) -> dict[str, Any]:
        """Convert, or take what was converted and judged otherwise, and judge."""
        began, facts = time.perf_counter(), self.facts(cell)
        if known is not None and self.is_current(cell, known) and Path(known.get("file", "/nowhere")).exists():
            found = {name: value for name, value in known.items() if name not in {"verdict", "cases", "not run"}}
            facts["code"] = known["code"]
        else:
            found = self._converted(cell, converter)
        if found.get("status") == "published":
            request = {"file": found["file"], "format": cell.target, "source": str(self.folder(cell.key))}
            judged = judge.ask(request)
            found |= judged if "verdict" in judged else {"verdict": "crashed", "reason": str(judged)}
        found |= {
            "key": cell.key,
            "target": cell.target,
            "who": cell.who,
            "judge": file_digest("judging.py"),
            **facts,
        }
        return found | {"took": round(time.perf_counter() - began, 1)}

    def _converted(self, cell: Cell, worker: Worker) -> dict[str, Any]:
        out = self.cache / ("ours" if cell.who == OURS else "peers") / slug(cell.key)
        request = {"source": str(self.folder(cell.key)), "target": cell.target, "tool": cell.who}
        if cell.who == OURS:
            version = out / f"{code_digest()}-{self.digest(cell.key)}"
            if out.exists() and not version.exists():
                shutil.rmtree(out)  # of an earlier state of the code
            found = worker.ask(request | {"out": str(version)})
        else:
            found = worker.ask(request | {"out": str(out / slug(cell.who))})
        if "crashed" in found:
            return {"status": "crashed", "reason": found["crashed"]}
        return {"status": "failed", "reason": found["error"]} if "error" in found else found

    def _worker(self, cell: Cell, log: Path) -> Worker:
        backend = "torch" if cell.who == "Keras export, torch" else "tensorflow"
        made = {"KERAS_BACKEND": backend}
        if cell.who == OURS:
            return Worker("benchmarks.corpus.ours", log.with_suffix(".ours"), environment=made, timeout=self.timeout)
        python = python_of("litert" if cell.who == "litert_torch.convert" else None, self.cache)
        return Worker(
            "benchmarks.corpus.peers", log.with_suffix(".peers"), python=python, environment=made, timeout=self.timeout
        )


def _place(cell: Cell) -> tuple[str, str]:
    """Say which cells one process converts."""
    return (OURS, FORMATS[cell.kind]) if cell.who == OURS else (cell.who, "")


def summary(found: Mapping[str, Any]) -> str:
    """Say in a line what became of a cell."""
    told = found.get("verdict") or found["status"]
    return f"{told} ({found['reason'][:160]})" if "reason" in found else str(told)


def slug(text: str) -> str:
    """Give a name for a folder."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
