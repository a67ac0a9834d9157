"""Networks of several inputs and outputs in Keras, exported with proof.

As a program, since a process has one backend: ``KERAS_BACKEND=… python proved_models.py CATALOG FOLDER`` publishes
those of ``several_models.py``, exports them, and prints what happened as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.exporters.diff import diff
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.workers import Workers

NETWORKS = ("join", "split")
TARGETS = ("saved-model", "litert", "openvino", "keras-torch", "torch-export")


def networks():
    spec = importlib.util.spec_from_file_location("several_models", Path(__file__).with_name("several_models.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(href, folder):
    catalog, found = open_catalog(href, create=True), {}
    with Workers() as workers:
        items = networks().publish_keras(catalog, Path(folder))
        for name in NETWORKS:
            for target in TARGETS:
                try:
                    made = export(ExportJob(items[name].id, target), catalog, workers=workers)
                    agree = diff(items[name], made, workers).passed
                    found[f"{name} {target}"] = {"id": made.id, "agree": agree}
                except ModelStacError as error:
                    found[f"{name} {target}"] = {"error": f"{type(error).__name__}: {error}"}
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
