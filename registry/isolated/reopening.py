"""A model in another process: sent as what it was loaded from, and loaded there anew, once for all that is sent.

So a framework's object never crosses, and the receiver verifies the same bytes by the same policy as the sender did. A
file on the sender's machine must be where the receiver finds it under the same path.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pystac

from modelstac.catalog.items.digests import multihash
from modelstac.catalog.items.links import asset_href
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.options import Options
from modelstac.registry.trust.policy import TrustPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.choosing.model_assets import ModelAsset
    from modelstac.registry.running.signature import Arrays

KEPT = 4
_open: OrderedDict[Recipe, Model] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """What a model was loaded from.

    Parameters
    ----------
    item
        The item as JSON, with absolute hrefs and the checksum of its file.
    asset, entrypoint, isolated, policy, options
        As it was loaded.
    outputs
        Names of what it gives.
    """

    item: str
    asset: str
    outputs: tuple[str, ...]
    entrypoint: str | None
    isolated: bool
    policy: TrustPolicy
    options: Options

    @classmethod
    def of(
        cls,
        item: pystac.Item,
        asset: str,
        sha256: str,
        *,
        outputs: tuple[str, ...],
        entrypoint: str | None,
        isolated: bool,
        policy: TrustPolicy,
        options: Options,
    ) -> Recipe:
        """Note what was loaded; a file without a checksum must be the same file elsewhere."""
        document = item.to_dict(include_self_link=False, transform_hrefs=False)
        for key, found in item.assets.items():
            document["assets"][key]["href"] = asset_href(found)
        document["assets"][asset].setdefault("file:checksum", multihash(sha256))
        return cls(json.dumps(document), asset, outputs, entrypoint, isolated, policy, options)

    @property
    def found(self) -> tuple[pystac.Item, ModelAsset]:
        """The item, and its file that is loaded."""
        item = pystac.Item.from_dict(json.loads(self.item))
        return item, next(asset for asset in model_assets(item) if asset.key == self.asset)


class Reopened(Model):
    """A model that arrived in this process: loaded when it first runs, as schedulers unpack what workers run.

    Parameters
    ----------
    recipe, item, description
        What it is.
    load
        Loads what a recipe says.
    """

    def __init__(
        self, recipe: Recipe, item: pystac.Item, description: ModelDescription, load: Callable[[Recipe], Model]
    ) -> None:
        def run(arrays: Arrays) -> Arrays:
            return _opened(recipe, load).run(arrays)

        inputs = tuple(tensor.name for tensor in description.inputs)
        super().__init__(item, description, Opened(None, run, inputs, recipe.outputs, parallel=True))
        self._open: Callable[[], Model] = partial(_opened, recipe, load)

    @property
    def native(self) -> Any:
        """The framework's own object."""
        self._running()
        return self._open().native


def _opened(recipe: Recipe, load: Callable[[Recipe], Model]) -> Model:
    """Load what a recipe says, unless it is open in this process; the last few stay so."""
    with _lock:
        if recipe not in _open:
            _open[recipe] = load(recipe)
        _open.move_to_end(recipe)
        while len(_open) > KEPT:
            _open.popitem(last=False)
        return _open[recipe]
