"""As a program: ``KERAS_BACKEND=… python train_process.py JOB.json CATALOG`` trains twice and prints the outcome."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(job_file: str, catalog_folder: str) -> None:
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.catalog.messages import Note
    from modelstac.training.jobs.job import TrainJob
    from modelstac.training.jobs.train import train

    catalog = open_catalog(catalog_folder, create=True)
    job = TrainJob.from_json(Path(job_file).read_text())
    messages = []
    try:
        first = train(job, catalog, report=messages.append)
        second = train(job, catalog, report=messages.append)
    except ModelStacError as error:
        print("\n" + json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return
    notes = [message.text for message in messages if isinstance(message, Note)]
    found = {"id": second.id, "scores": first.properties["interop:scores"], "notes": notes}
    found["tensorflow"] = "tensorflow" in sys.modules
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
