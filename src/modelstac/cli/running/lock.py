"""``modelstac lock``: the files of other people's items that are pinned, and those that are to be pinned anew."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, columns, json_option, named_item, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.group()
def lock() -> None:
    """Look after modelstac.lock, which pins files whose items state no checksum (MODELSTAC_LOCK)."""


@lock.command()
@json_option("what is pinned")
def ls(*, as_json: bool) -> None:
    """List what is pinned."""
    from modelstac.registry.files.lock import Lock

    here = Lock()
    pins = here.pins()
    if as_json:
        print_json([{"place": place, **pin.to_json()} for place, pin in pins.items()])
        return
    if pins:
        rows = [(pin.item, pin.asset, pin.sha256, pin.pinned, place) for place, pin in pins.items()]
        say(columns(("item", "asset", "sha256", "pinned", "place"), rows))
    say(f"{len(pins)} files in {here.path}")


@lock.command(short_help="Fetch files that state no checksum, and pin them.")
@click.argument("what", metavar="ITEM")
@click.option("--asset", metavar="KEY", help="The model file, of several; by default all of them.")
@catalog_option
@json_option("what changed")
def update(*, what: str, asset: str | None, catalog: str | None, as_json: bool) -> None:
    """Fetch the model files of ITEM (id, URL or path) that state no checksum, and pin them as they are now."""
    from modelstac.catalog.errors import SpecError
    from modelstac.catalog.items.digests import other_digest
    from modelstac.registry.choosing.model_assets import model_assets
    from modelstac.registry.files import lock as pins
    from modelstac.registry.files.fetch import place_of
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    item, here = named_item(what, catalog), pins.Lock()
    keys = [found.key for found in model_assets(item) if asset in {None, found.key}]
    stated = {key: item.assets[key].extra_fields.get("file:checksum") for key in keys}
    loose = [key for key in keys if stated[key] is None or other_digest(stated[key]) is not None]
    if not loose:
        raise SpecError(f"item {item.id!r} has no such model file without a SHA-256: there is nothing to pin")
    changes = []
    with progress() as report:
        for key in loose:
            href = place_of(item, key)
            before, now = pins.update(
                href, item_id=item.id, key=key, max_bytes=DEFAULT_POLICY.max_bytes, checksum=stated[key],
                lock=here, report=report,
            )  # fmt: skip
            if before is not now:
                old = before.sha256 if before is not None else None
                changes.append({"place": here.place(href), "asset": key, "before": old, "now": now.sha256})
    if as_json:
        print_json(changes)
        return
    for change in changes:
        say(f"{change['place']}: {change['before'] or 'not pinned'} -> {change['now']}")
    say(f"commit {here.path}" if changes else "nothing to change")
