"""A kind of job: a scene to a map, found again by the files that it wrote and those that it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import NotFoundError
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give the map of an earlier run, as long as it is there as it was written, and so are scene and model."""
    if recorded is None or recorded.get("made_of") != _made_of(task):
        return None
    return recorded if _stamps(recorded.get("written", ())) == recorded.get("stamps") else None


def run(task: Task, *, report: Report) -> Result:
    """Run the scene; go on where an attempt that was broken off stopped."""
    from modelstac.registry.scenes.predicting import predict_scene

    parameters = task.parameters
    made_of, output = _made_of(task), parameters["output"]
    if "://" not in output:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    found = predict_scene(
        parameters["item"], parameters["source"], output, catalog=parameters["catalog"], report=report,
        **parameters["options"],
    )  # fmt: skip
    written = [str(path) for path in found.paths]
    return {
        "output": output,
        "written": written,
        "stamps": _stamps(written),
        "made_of": made_of,
        "tiles": found.plan.tiles,
    }


def _made_of(task: Task) -> dict[str, Any]:
    """Give what changes when the scene's files or the model do: sizes and times of files, checksums of the item."""
    from modelstac.registry.choosing.references import named

    parameters = task.parameters
    item = named(parameters["item"], parameters["catalog"])
    checksums = {key: asset.extra_fields.get("file:checksum") for key, asset in sorted(item.assets.items())}
    files = [path for path in _paths(parameters["source"]) if "://" not in path]
    if absent := [path for path in files if not Path(path).exists()]:
        raise NotFoundError(f"no scene {absent[0]}: check the path")
    return {"item": item.id, "checksums": checksums, "files": _stamps(files)}


def _paths(source: Any) -> Iterator[str]:
    if isinstance(source, str):
        yield source
        return
    for one in source.values() if isinstance(source, dict) else source:
        yield from _paths(one)


def _stamps(paths: Any) -> dict[str, list[int] | None]:
    """Give size and time of files; of folders those of their newest file; None of what is no file here."""
    return {str(path): _stamp(Path(path)) for path in paths}


def _stamp(path: Path) -> list[int] | None:
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    if not files:
        return None
    status = [file.stat() for file in files]
    return [sum(one.st_size for one in status), max(one.st_mtime_ns for one in status)]
