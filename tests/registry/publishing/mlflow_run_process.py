"""A run of MLflow that logs a forest, and its publication: in an environment of MLflow's own."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mlflow
import numpy as np
from sklearn.ensemble import RandomForestClassifier

import modelstac

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of MLflow, about pickles
    here = Path.cwd()
    mlflow.set_tracking_uri((here / "runs").as_uri())
    table = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    forest = RandomForestClassifier(3, random_state=0).fit(table, (table[:, 0] > 0.5).astype(int))
    np.save(here / "table.npy", table)
    np.save(here / "labels.npy", forest.predict(table))
    with mlflow.start_run() as run:
        mlflow.log_param("trees", 3)
        mlflow.log_metric("accuracy", 0.9)
        how = {"input_example": table[:5], "pip_requirements": [], "serialization_format": "cloudpickle"}
        mlflow.sklearn.log_model(forest, name="model", **how)
    publisher = modelstac.ModelstacPublisher(
        catalog=here / "models",
        name="net",
        license="MIT",
        bbox=(5, 50, 10, 55),
        datetime="2020",
        bands=("B02", "B03", "B04"),
        classes=("water", "land"),
    )
    item = publisher.publish_run(run)
    found = {
        "item": item.id,
        "scores": item.properties["interop:scores"],
        "trees": item.properties["mlm:hyperparameters"]["trees"],
        "tag": mlflow.MlflowClient().get_run(run.info.run_id).data.tags["modelstac.item"],
    }
    print(json.dumps(found))
