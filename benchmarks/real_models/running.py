"""Each file: published with what is said of it, loaded from its catalog, run, and held against its package."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

import modelstac
from benchmarks.real_models import packages, references
from benchmarks.real_models.entries import Entry, entries
from modelstac.catalog.messages import Message, Note
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.requirements import Pin, Requirements
from modelstac.registry.publishing.objects import hdf5
from modelstac.registry.trust.policy import DEFAULT_POLICY

_RAISED = re.compile(r"[\w.]+(Error|Exception|Exit|Interrupt)\b")
CACHE = "MODELSTAC_REAL_MODELS"
KNOWN: dict[str, Any] = {"license": "other", "bbox": (-180, -90, 180, 90), "datetime": "2020", "version": "1.0.0"}
_SNOW = (Pin("scikit-learn", "1.2.1"), Pin("numpy", "1.26.4"))


@dataclass(frozen=True)
class Result:
    """What came of one file: the item and how far it is from its package, or why not."""

    entry: Entry
    item: str = ""
    format: str = ""
    seconds: float = 0.0
    apart: float = float("nan")
    largest: float = float("nan")
    precision: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""


def run(names: Sequence[str]) -> list[Result]:
    """Run all, or those that are named; print a line for each."""
    cache = Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("modelstac-real-models"))
    unpacked = packages.unpack(cache)
    sys.path.append(str(unpacked))
    references.standing_in(unpacked)  # where the builder of VoodooNet imports it
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        for entry in entries(unpacked):
            if names and not any(entry.name.startswith(name) for name in names):
                continue
            result = _one(entry, unpacked, Path(folder))
            fields = {f.name: getattr(result, f.name) for f in dataclasses.fields(result) if f.name != "entry"}
            (cache / f"{entry.name}.json").write_text(json.dumps(fields), encoding="utf-8")
            told = result.error or f"{result.item}, {result.apart:.1e} of {result.largest:.3g}, {result.seconds:.0f} s"
            print(f"{entry.name:28} {told}", flush=True)
            for note in result.notes:
                print(f"    {note}", flush=True)
    results = [_kept(entry, cache / f"{entry.name}.json") for entry in entries(unpacked)]
    print(f"{sum(not result.error for result in results)} of {len(results)} files are what their packages compute")
    return results


def _kept(entry: Entry, path: Path) -> Result:
    if not path.exists():
        return Result(entry, error="was not run yet")
    return Result(entry, **json.loads(path.read_text(encoding="utf-8")))


def _one(entry: Entry, unpacked: Path, folder: Path) -> Result:
    begin = time.perf_counter()
    heard: list[Message] = []
    given = entry.feed()
    how = dict(entry.said) | KNOWN | {"example": given if len(given) > 1 else next(iter(given.values()))}
    how |= {"catalog": folder / "catalog", "name": entry.name, "trust": [w for w in entry.trust if w == "pickle"]}
    try:
        item = modelstac.publish(unpacked / entry.path, report=heard.append, **how)
        seconds = time.perf_counter() - begin
        trust = [word for word in entry.trust if word != "pickle"]  # what was published runs no code of anybody's
        with modelstac.load(item.id, catalog=folder / "catalog", trust=trust) as model:
            names = [tensor.name for tensor in model.signature.inputs]
            arrays = dict(zip(names, given.values(), strict=True))
            scaled = None if "scaling" not in entry.said else False
            predicted: Any = model.predict(**arrays, scaled=scaled) if scaled is not None else model.run(arrays)
        found = predicted if isinstance(predicted, dict) else {"output": predicted}
        wanted = _reference(entry, unpacked, folder, given)
    except Exception as error:  # noqa: BLE001 - whatever happens to one file, the others are run
        return Result(entry, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    apart, largest = 0.0, 0.0
    for one, other in zip(map(np.asarray, entry.outputs(found)), wanted, strict=True):
        if one.shape != other.shape:
            return Result(entry, item.id, error=f"gives {list(one.shape)}, its package {list(other.shape)}")
        apart = max(apart, float(np.abs(one.astype(float) - other.astype(float)).max()))
        largest = max(largest, float(np.abs(other).max()))
    precision = str(item.properties.get("interop:precision", ""))
    notes = tuple(message.text for message in heard if isinstance(message, Note))
    error = "" if apart <= 1e-3 * max(1.0, largest) else f"differs by {apart:.2g} of {largest:.3g} from its package"
    form = str(item.properties.get("interop:format", ""))
    return Result(entry, item.id, form, seconds, apart, largest, precision, notes, error)


def _cause(said: str) -> str:
    """Return what a traceback ends in, which may have several lines; its head and its end where it is long."""
    lines = said.strip().splitlines()
    last = next((i for i in range(len(lines) - 1, -1, -1) if _RAISED.match(lines[i])), max(len(lines) - 1, 0))
    text = " ".join(" ".join(lines[last:]).split())
    return text if len(text) <= 400 else f"{text[:150]} … {text[-250:]}"


def _reference(entry: Entry, unpacked: Path, folder: Path, given: dict[str, Any]) -> list[Any]:
    """Run the package in a process of its own; the pickle by the scikit-learn that wrote it."""
    arrays, found = folder / "given.npz", folder / "found.npz"
    moved = [np.moveaxis(array, 1, -1) if entry.reference == "csmask" else array for array in given.values()]
    np.savez(arrays, *moved)
    python, variables = Path(sys.executable), dict(os.environ)
    if entry.reference == "snowmicropyn":
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        wanted = Requirements(version, tuple(sorted(_SNOW)))
        python = Environments().provide(wanted, purpose="running snowmicropyn").interpreter
    elif entry.reference in {"opticallyshallowdeep", "fliesann"}:  # which are written for Keras 2, and ask for any
        whole = hdf5.look_into(unpacked / entry.path, DEFAULT_POLICY)
        assert whole is not None
        environment, keras, _ = hdf5.environment_of(whole)
        assert environment is not None
        python = environment.interpreter
        variables |= {"TF_USE_LEGACY_KERAS": "1"} if keras == "tf_keras" else {}
    command = [str(python), references.__file__, entry.reference, entry.name, *map(str, (unpacked, arrays, found))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        raise RuntimeError(f"its package does not run: {_cause(done.stderr)}")
    with np.load(found) as read:
        return [read[name] for name in read.files]
