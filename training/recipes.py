"""How the presets of `modelstac.training.spec` are fitted, and what they are fed."""

from __future__ import annotations

from types import MappingProxyType

from modelstac.training.data import Preparation
from modelstac.training.fit import FitSpec

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

RECIPES = MappingProxyType(
    {
        "tiny": (FitSpec(), Preparation(coarsen=4, transform="log", newest_first=True)),
        "reference": _THESIS,
        "thesis-pytorch": _THESIS,
        "demetrakopoulos": _THESIS,
    }
)
