"""Publishing at the end of ``fit``: a callback of Keras and of Lightning, and what a run of MLflow logged.

It keeps the weights of the epoch that was best, in memory, and publishes these.
"""

from __future__ import annotations

import importlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import MissingPackageError, ModelStacError, NotFoundError, SpecError
from modelstac.catalog.messages import Report, ignore
from modelstac.catalog.rules import check_alias
from modelstac.registry.publishing.call import publish
from modelstac.registry.publishing.saying import Said
from modelstac.registry.publishing.values import check_values

if TYPE_CHECKING:
    import pystac

LOG = logging.getLogger("modelstac")
_OTHERS = frozenset({"load_state_dict", "set_params", "setup", "teardown"})
_NEEDED = ("name", "license", "datetime")
_FLAVOURS = ("keras", "pytorch", "sklearn", "xgboost", "lightgbm", "onnx", "tensorflow")
_LOWER = (
    *("loss", "error", "mse", "mae", "mape", "rmsd", "brier", "entropy", "divergence", "distance", "perplexity"),
    *("crps", "false"),
)
_HIGHER = (
    *("acc", "iou", "f1", "auc", "precision", "recall", "dice", "r2", "score", "psnr", "ssim", "kappa", "jaccard"),
    *("map", "csi", "mcc", "nse", "kge", "corr", "sensitivity", "specificity", "true"),
)
"""Parts of names of scores of which the lowest is best, which go first (``dice_loss``), and of which the highest is."""
_LOSSES = ("val_loss", "val/loss", "valid_loss", "validation_loss", "loss")
_OF_VALIDATION = re.compile(r"(?:val|valid|validation)[_/.]")


class ModelstacPublisher:
    """Publishes the best checkpoint at the end of ``fit``.

    For ``model.fit(…, callbacks=[ModelstacPublisher(…)])`` of Keras and ``Trainer(callbacks=[…])`` of Lightning; a
    run of MLflow is published by :meth:`publish_run`. Where publishing fails, the
    training is not lost: the reason is logged and kept as ``error``, and the model is as it was.

    Parameters
    ----------
    catalog, alias, unproved
        As in :func:`modelstac.publish`.
    monitor
        Score to choose the best epoch by; by default ``val_loss`` (``val/loss``), or ``loss`` where there is none.
    mode
        ``min`` or ``max``; by default by the name of the score, where that tells.
    report
        Gets notes.
    **said
        What the file does not say; see :class:`~modelstac.registry.publishing.saying.Said`. Scores on validation data
        of the best epoch are published where no ``metrics`` are said.

    Attributes
    ----------
    item
        As published; None before.
    error
        Why it was not.

    Raises
    ------
    SpecError
        If something makes no sense, or is missing that will be needed: now, and not after hours of training.
    """

    def __init__(
        self,
        *,
        catalog: Catalog | str | PathLike[str] | None = None,
        alias: str | None = None,
        unproved: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
        report: Report = ignore,
        **said: Unpack[Said],
    ) -> None:
        given: dict[str, Any] = dict(said)
        check_values(given, Path(), later=True)
        if alias is not None:
            check_alias(alias)
        missing = [name for name in _NEEDED if not given.get(name)]
        if not given.get("bbox") and not given.get("geometry"):
            missing.append("bbox")
        if missing:
            raise SpecError(f"a model is published with {', '.join(missing)}, too: give them now, before the training")
        if mode not in {None, "min", "max"}:
            raise SpecError(f"mode is 'min' or 'max', not {mode!r}")
        if monitor is not None and mode is None and (mode := _mode_of(monitor)) is None:
            raise SpecError(f"monitor {monitor!r} does not tell which is best: say mode='min' or mode='max', too")
        self.item: pystac.Item | None = None
        self.error: Exception | None = None
        self._how: dict[str, Any] = {"catalog": catalog, "alias": alias, "unproved": unproved, "report": report}
        self._said, self._monitor, self._mode = given, monitor, mode
        self._begin()

    def _begin(self, *_: Any, **__: Any) -> None:
        """Forget what another training left: its best weights are those of another model."""
        self.item = self.error = None
        self._best = math.inf
        self._weights: Any = None
        self._scores: dict[str, float] = {}
        self._batch: Any = None

    on_train_begin = on_fit_start = _begin
    """Of Keras, and of Lightning, whose ``on_train_start`` comes after a first validation."""

    def publish(self, model: Any, **more: Any) -> pystac.Item:
        """Publish a model with all that was said, and more.

        Raises
        ------
        ModelStacError
            As :func:`modelstac.publish` does.
        """
        self.item = publish(model, **self._how, **more | self._said)
        return self.item

    def __getattr__(self, name: str) -> Any:
        """Do nothing at all other moments; neither framework is imported, or asked to be there, for its base class."""
        if name.startswith("on_") or name in _OTHERS:
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Keras

    def set_model(self, model: Any) -> None:
        """Get the model that is trained (Keras)."""
        self.model = model

    def on_epoch_end(self, *given: Any, **named: Any) -> None:
        """Keep the weights of the best epoch (Keras)."""
        logs = named.get("logs") or (given[1] if len(given) > 1 else None)
        if isinstance(logs, Mapping):
            self._keep(logs, lambda: [array.copy() for array in self.model.get_weights()])

    def on_train_end(self, *given: Any, **named: Any) -> None:  # noqa: ARG002 - Lightning's has two arguments
        """Publish the best epoch (Keras)."""
        if len(given) < 2:
            with _restored(self.model, self._weights):
                self._finish(self.model)

    # Lightning

    @property
    def state_key(self) -> str:
        """Name of its state in a checkpoint (Lightning): it has none."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """Keep nothing in checkpoints (Lightning)."""
        return {}

    def on_train_batch_start(self, *given: Any, **named: Any) -> None:  # noqa: ARG002
        """Keep a batch as the example, where none was given (Lightning)."""
        if len(given) > 3 and self._batch is None and "example" not in self._said:
            self._batch = _first_sample(given[2])

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Keep the weights of the best epoch (Lightning)."""
        if not trainer.sanity_checking:
            logs = {str(name): _number(value) for name, value in trainer.callback_metrics.items()}
            self._keep(logs, lambda: {k: v.detach().cpu().clone() for k, v in module.state_dict().items()})

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        """Publish the best epoch (Lightning), by one process of several."""
        if not trainer.is_global_zero:
            return
        more: dict[str, Any] = {}
        if self._batch is not None:
            # What a model is trained on is scaled.
            more = {"example": self._batch, "example_scaled": True}
        before = {k: v.detach().clone() for k, v in module.state_dict().items()}
        try:
            if self._weights is not None:
                module.load_state_dict(self._weights)
            self._finish(module, **more)
        finally:
            module.load_state_dict(before)

    # MLflow

    def publish_run(self, run: Any) -> pystac.Item:
        """Publish the model that a run of MLflow logged, with its metrics, parameters and example.

        Parameters
        ----------
        run
            The run, its id, or the URI of a model (``runs:/…/model``, ``models:/name@alias``). Loading what PyTorch and
            scikit-learn logged unpickles it: publish runs of your own.

        Raises
        ------
        MissingPackageError
            If MLflow is not installed.
        NotFoundError
            If there is no such run, or it has no model of a framework that is known here.
        ModelStacError
            As :func:`modelstac.publish` does.
        """
        mlflow = _mlflow()
        run_id = getattr(getattr(run, "info", None), "run_id", run)
        try:
            uri = str(run_id) if ":/" in str(run_id) else _logged(mlflow, str(run_id))
            info = mlflow.models.get_model_info(uri)
            flavour = next((name for name in _FLAVOURS if name in info.flavors), None)
            if flavour is None:
                raise NotFoundError(
                    f"MLflow's {uri} has the flavours {', '.join(info.flavors)}, and none of {', '.join(_FLAVOURS)}"
                )
            model = importlib.import_module(f"mlflow.{flavour}").load_model(uri)
            more = _of_run(mlflow, info, uri)
        except mlflow.exceptions.MlflowException as error:
            reason = " ".join(str(error).split())[:200]
            raise NotFoundError(f"MLflow has no model for {run_id}: {reason}") from error
        item = self.publish(model, **more)
        if info.run_id:
            mlflow.MlflowClient().set_tag(info.run_id, "modelstac.item", item.id)
        return item

    def _keep(self, logs: Mapping[str, Any], weights: Callable[[], Any]) -> None:
        name = self._monitor or next((n for n in _LOSSES if n in logs), None)
        if name is None or name not in logs:
            if self._monitor is not None and self._weights is None:
                LOG.warning("no score %r among %s: the last epoch is published", name, ", ".join(logs))
            return
        value = _number(logs[name]) * (-1 if self._mode == "max" else 1)
        if value < self._best:
            self._best, self._weights = value, weights()
            self._scores = {str(n): _number(v) for n, v in logs.items() if _OF_VALIDATION.match(str(n))}

    def _finish(self, model: Any, **more: Any) -> None:
        scores = {_OF_VALIDATION.sub("", name, 1): v for name, v in self._scores.items() if math.isfinite(v)}
        if scores and "metrics" not in self._said:
            more["metrics"] = scores
        try:
            self.publish(model, **more)
        except ModelStacError as error:
            self.error = error
            LOG.error(  # noqa: TRY400 - one line, as everywhere
                "the model was trained and not published: %s; put it right and call publish(model)", error
            )
        except Exception as error:  # whatever it is, hours of training are not lost by it
            self.error = error
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            LOG.error(  # noqa: TRY400 - as above
                "the model was trained and not published (%s): save it, and give the file to modelstac publish", reason
            )
            LOG.debug("where it failed", exc_info=error)


def _mode_of(name: str) -> str | None:
    text = name.casefold()
    modes = (mode for mode, parts in (("min", _LOWER), ("max", _HIGHER)) if any(part in text for part in parts))
    return next(modes, None)


@contextmanager
def _restored(model: Any, weights: Any) -> Iterator[None]:
    """Have the best weights in a model of Keras, and then those that it had."""
    if weights is None:
        yield
        return
    before = [array.copy() for array in model.get_weights()]
    model.set_weights(weights)
    try:
        yield
    finally:
        model.set_weights(before)


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _first_sample(batch: Any) -> Any:
    """Take the first sample of a batch, on the CPU; what comes after the inputs is left to the reader of examples."""
    if isinstance(batch, Mapping):
        return {name: _first_sample(one) for name, one in batch.items()}
    if isinstance(batch, list | tuple):
        return tuple(_first_sample(one) for one in batch)
    return batch[:1].detach().cpu().clone() if hasattr(batch, "detach") and batch.ndim else batch


def _mlflow() -> Any:
    try:
        return importlib.import_module("mlflow")
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise MissingPackageError.extra("mlflow", "mlflow", "publishing a run of MLflow") from error


def _logged(mlflow: Any, run_id: str) -> str:
    """Find the model that a run logged; the last one."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'", output_format="list"
    )
    if not found:
        raise NotFoundError(f"the run {run_id} of MLflow logged no model: log one, mlflow.keras.log_model(model, …)")
    return str(max(found, key=lambda one: one.creation_timestamp).model_uri)


def _of_run(mlflow: Any, info: Any, uri: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    hyperparameters: dict[str, Any] = {"mlflow": {"model": uri}}
    if info.run_id:
        run = mlflow.MlflowClient().get_run(info.run_id)
        hyperparameters |= dict(run.data.params) | {"mlflow": {"run": info.run_id}}
        scores = {name: value for name, value in run.data.metrics.items() if math.isfinite(value)}
        if scores:
            more["metrics"] = scores
    if info.saved_input_example_info:
        example = mlflow.models.Model.load(uri).load_input_example(uri)
        more["example"] = example
    return more | {"hyperparameters": hyperparameters}
