"""Prove an item that was published without running: run its file as publishing would have, and keep what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.evidence import PROVED, UNPROVED
from modelstac.catalog.items.reading import read_sizes
from modelstac.catalog.items.sizes import sizes_to_json
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.choosing.claims import described, held
from modelstac.registry.choosing.fetching import fetched
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.describing.measuring import ran
from modelstac.registry.isolated.verified import environment_here
from modelstac.registry.trust.policy import DEFAULT_POLICY, TrustPolicy

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.base import Catalog


def prove(
    item: pystac.Item, catalog: Catalog, *, policy: TrustPolicy = DEFAULT_POLICY, report: Report = ignore
) -> pystac.Item:
    """Run the file of an item that was published unproved, and note in the item what was found.

    What is immutable of the item stays as it is; the sizes and the halo that were found are evidence
    (``interop:verified``), and count from then on.

    Parameters
    ----------
    item
        As its catalog gives it.
    catalog
        Where it lies.
    policy
        What may be in its file.
    report
        Gets notes.

    Returns
    -------
    pystac.Item
        As it is now.

    Raises
    ------
    SpecError
        If it was run before it was published, or was made by somebody else.
    InvalidItemError
        If it does not run, gives one input two outputs, or gives other outputs than its item says.
    ModelStacError
        As loading does, and adding evidence.
    """
    if item.properties.get(UNPROVED) is not True:
        raise SpecError(f"{item.id!r} was not published unproved: there is nothing to prove")
    [asset] = model_assets(item)
    description, _ = described(item, asset)
    artifact = fetched(item, asset, policy, rehash=False, report=report)
    held(item, asset, description, artifact)
    stated = read_sizes(item.id, item.properties.get("interop:sizes"))
    description = ran(description.model_copy(update={"sizes": stated}), artifact, policy=policy, report=report)
    proof: dict[str, Any] = {"sizes": sizes_to_json(description.sizes)}
    if description.halo is not None:
        proof["halo"] = description.halo
    return catalog.add_verified(item.id, [environment_here(description) | {PROVED: proof}])
