"""A model of land cover, trained on generated scenes in less than a minute, described and ready to be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import MissingPackageError, StorageError
from modelstac.catalog.items.mlm import ZScore
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.registry.scenes.evaluating.classes import scores_of_all
from modelstac.training.scenes.items import OFFSET, SCALE
from modelstac.training.scenes.observing import LABELS, Observation, observe
from modelstac.training.scenes.palette import CLASSES, NOTHING
from modelstac.training.scenes.sensors import SENTINEL_2

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

NAME, VERSION = "landcover", "1.0.0"
BANDS = tuple(band.name for band in SENTINEL_2)
_SIDE, _PATCH, _BATCH = 512, 64, 16
_DAYS = tuple(date(2024, month, 15) for month in (4, 5, 6, 7, 8, 9))
_UNSEEN = 1_000_000  # seeds from here on are of countries that nothing is trained on
_LEARNING_RATE, _OUT = 2e-3, -1
_PLACE = {
    "type": "Polygon",
    "coordinates": [[[5.95, 52.2], [7.7, 52.2], [7.7, 53.3], [5.95, 53.3], [5.95, 52.2]]],
}


@dataclass(frozen=True, eq=False)
class LandCover:
    """A trained network: as ONNX, with what its bands are scaled by and what it scores where it has not been.

    Parameters
    ----------
    model
        The bytes of the file.
    mean, deviation
        Of each band, in reflectance.
    scores
        On places and clouds that were not trained on.
    example
        An input (batch, band, row, column), scaled.
    parameters
        How many it has.
    """

    model: bytes
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    scores: dict[str, float]
    example: NDArray[np.float32]
    parameters: int


def train_landcover(
    *, steps: int = 200, places: int = 10, unseen: int = 3, seed: int = 0, report: Report = ignore
) -> LandCover:
    """Train the network on generated places.

    Parameters
    ----------
    steps
        Batches of 16 patches of 64 x 64 pixels.
    places
        Countries of 512 x 512 pixels that they are cut from, each on a day of its own between spring and autumn.
    unseen
        Other countries, on which it is scored.
    seed
        Of the weights and the order of the patches.

    Raises
    ------
    MissingPackageError
        If PyTorch or ONNX are not installed.
    """
    try:
        import torch

        from modelstac.training.scenes.network import Network, to_onnx
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "torch", "training a model of land cover") from error
    images, labels = _places(range(1, places + 1))
    mean, deviation = images.mean((0, 2, 3)), images.std((0, 2, 3))
    images = (images - mean[:, None, None]) / deviation[:, None, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(len(BANDS), len(CLASSES))
    _fit(network, (images, labels), steps, np.random.default_rng(seed), report)
    others, truth = _places(range(_UNSEEN, _UNSEEN + unseen))
    others = ((others - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)
    with torch.no_grad():
        found = np.concatenate([network(torch.from_numpy(one[None])).argmax(1).numpy() for one in others])
    known = truth != _OUT
    counted = np.bincount(truth[known] * len(CLASSES) + found[known], minlength=len(CLASSES) ** 2)
    scores = scores_of_all(counted.reshape(len(CLASSES), len(CLASSES)))
    return LandCover(
        to_onnx(network, len(BANDS), len(CLASSES)).SerializeToString(),
        mean,
        deviation,
        {name: round(float(value), 4) for name, value in scores.items()},
        others[:1, :, 200:264, 200:264],
        sum(one.numel() for one in network.parameters()),
    )


def describe_landcover(trained: LandCover, folder: str | Path, *, report: Report = ignore) -> ModelDescription:
    """Write the network as ``landcover.onnx`` into a folder, and describe it: measured, with its classes and scaling.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    path = Path(folder) / f"{NAME}.onnx"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(trained.model)
    except OSError as error:
        raise StorageError.doing(f"write {path}", error) from error
    layout = ("batch", "bands", "height", "width")
    described = describe_file(
        path,
        Statement(
            name=NAME,
            version=VERSION,
            tasks=("semantic-segmentation",),
            architecture="U-Net",
            license="MIT",
            geometry=_PLACE,
            start=datetime(_DAYS[0].year, _DAYS[0].month, 1, tzinfo=UTC),
            end=datetime(_DAYS[-1].year, _DAYS[-1].month, 30, tzinfo=UTC),
            input_dims=layout,
            output_dims=("batch", "channel", "height", "width"),
            bands=BANDS,
            examples=trained.example,
            title="Land cover of generated scenes",
            description=f"Nine classes of land cover (the legend of ESA WorldCover) from ten bands of Sentinel-2: a "
            f"U-Net of {trained.parameters:,} parameters that was trained on generated scenes. It shows how maps are "
            "made, and knows nothing of real land.",
            keywords=("land cover", "Sentinel-2", "generated"),
            pretrained=False,
        ),
        report=report,
    )
    scaling = tuple(
        ZScore(mean=round(float(m), 6), stddev=round(float(d), 6))
        for m, d in zip(trained.mean, trained.deviation, strict=True)
    )
    (one,), (scores,) = described.inputs, described.outputs
    return described.model_copy(
        update={
            "inputs": (one.model_copy(update={"value_scaling": scaling}),),
            "outputs": (
                type(scores).model_validate(
                    scores.model_dump(exclude_none=True) | {"classification:classes": _classes()}
                ),
            ),
            "scores": trained.scores,
            "common": {"constellation": "sentinel-2", "instruments": ["msi"], "gsd": 10},
        }
    )


def _classes() -> list[dict[str, Any]]:
    return [
        {
            "value": one.value,
            "name": _plain(one.name),
            "title": one.name,
            "description": one.name,
            "color_hint": str(one.color)[1:].upper(),
        }
        for one in CLASSES
    ]


def _plain(name: str) -> str:
    """Return a name as the classification extension wants it, which is for machines."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _places(seeds: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return reflectances (place, band, row, column), on one grid of 10 m, and classes, -1 where nothing is seen."""
    place = {one.value: k for k, one in enumerate(CLASSES)} | {NOTHING: _OUT}
    codes = np.array([place.get(code, _OUT) for code in range(256)])
    images, labels = [], []
    for k, seed in enumerate(seeds):
        seen = observe(Observation(seed, _DAYS[k % len(_DAYS)], clouds=0.08), (slice(0, _SIDE), slice(0, _SIDE)))
        labels.append(codes[seen[LABELS]])
        images.append([_fine(seen[name].astype(np.float32)) for name in BANDS])
    return np.array(images, np.float32) * np.float32(SCALE) + np.float32(OFFSET), np.array(labels)


def _fine(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a band onto the grid of the finest ones, as a scene is read: between centres of pixels."""
    import torch

    if len(pixels) == _SIDE:
        return pixels
    finer = torch.nn.functional.interpolate(torch.from_numpy(pixels)[None, None], scale_factor=2, mode="bilinear")
    return np.asarray(finer[0, 0].numpy())


def _fit(
    network: Any,
    places: tuple[NDArray[np.float32], NDArray[np.int64]],
    steps: int,
    random: np.random.Generator,
    report: Report,
) -> None:
    import torch

    task = "train on generated scenes"
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE * 2, total_steps=steps)
    report(Started(task, steps))
    for _ in range(steps):
        x, y = _patches(*places, random)
        loss = torch.nn.functional.cross_entropy(
            network(torch.from_numpy(x)), torch.from_numpy(y), ignore_index=_OUT, label_smoothing=0.02
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        falling.step()
        report(Advanced(task, note=f"loss {loss.item():.3f}"))
    report(Finished(task))


def _patches(
    images: NDArray[np.float32], labels: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cut a batch out, turned and mirrored at random."""
    x, y = [], []
    for _ in range(_BATCH):
        k, (top, left) = random.integers(len(images)), random.integers(0, (_SIDE - _PATCH) // 2, 2) * 2
        part = np.s_[top : top + _PATCH, left : left + _PATCH]
        turn, mirror = int(random.integers(4)), int(random.integers(2))
        one, two = (np.rot90(a, turn, (-2, -1))[..., :: 1 - 2 * mirror] for a in (images[k][:, *part], labels[k][part]))
        x.append(one)
        y.append(two)
    return np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.int64)
