"""The presets by name: an architecture, how it is fitted, and what it is fed."""

from __future__ import annotations

from types import MappingProxyType

from modelstac.catalog.errors import NotFoundError
from modelstac.training.architecture import Spec
from modelstac.training.data import Preparation
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.spec import PRESETS
from modelstac.training.unet import UNetSpec

# Giese (2025). Its grid of 344 x 315 pixels came from resizing 765 x 700; here it is the mean over 2 x 2 pixels of the
# part that holds all that is measured.
_THESIS = (
    FitSpec(
        epochs=25,
        batch_size=1,
        learning_rate=0.001,
        schedule="constant",
        optimizer="adadelta",
        loss="masked_bce",
        clip_norm=None,
        seed=42,
    ),
    Preparation(rows=(38, 726), columns=(54, 684), coarsen=2, scale=30.6),
)

NOWCAST = "nowcast"
"""The preset that trains over several events."""

SQUARES = MappingProxyType({NOWCAST: 6})
"""Squares that are taken of each event for training, at most."""

RECIPES = MappingProxyType(
    {
        "tiny": (FitSpec(loss="masked_csi"), Preparation(coarsen=4, transform="log", newest_first=True)),
        "small": (
            FitSpec(epochs=15, batch_size=4, learning_rate=0.003, loss="masked_mse_csi"),
            Preparation(coarsen=4, transform="log"),
        ),
        "reference": _THESIS,
        "thesis-pytorch": _THESIS,
        "demetrakopoulos": _THESIS,
        # Rain of one event only moves one way: mirrored and turned, it took far longer to learn from.
        NOWCAST: (
            FitSpec(
                epochs=1,
                batch_size=8,
                learning_rate=0.003,
                loss="masked_mse_half_csi",
                augmentation=("flips", "rotations", "lighter"),
            ),
            Preparation(rows=None, columns=None, block_metres=4000.0, transform="log"),
        ),
    }
)

ARCHITECTURES: MappingProxyType[str, Spec] = MappingProxyType(
    {
        **PRESETS,
        "small": UNetSpec(filters=(8, 16, 24), coarsen=1, inflow="edge", height=64, width=64),
        NOWCAST: UNetSpec(
            filters=(8, 16, 24),
            coarsen=1,
            inflow="edge",
            stay=4.0,
            damping=(0.476, 0.5),  # from 2 mm/h on
            height=64,
            width=64,
        ),
    }
)
"""What ``nowcast`` gives is in ``docs/results``."""


def preset(name: str) -> Spec:
    """Give the architecture of the preset called ``name``.

    Raises
    ------
    NotFoundError
        When there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise NotFoundError.unknown("preset", name, ARCHITECTURES, where="the architectures")
    return ARCHITECTURES[name]
