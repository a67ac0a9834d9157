"""``modelstac audit``: who published, promoted, deprecated, deleted what, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.catalog.journal import Entry


@click.command()
@click.argument("model", required=False)
@click.option("--item", metavar="ID", help="Only of this item.")
@click.option("--action", metavar="ACTION", help="Only this, such as publish, promote, deprecate or delete.")
@click.option("--by", metavar="NAME", help="Only by the key of this name.")
@click.option("--datetime", "when", metavar="TIME", help="Only then: a day, or an interval such as 2026-11/..")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="At most so many."
)
@catalog_option
@json_option("the entries")
def audit(
    *,
    model: str | None,
    item: str | None,
    action: str | None,
    by: str | None,
    when: str | None,
    limit: int,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Show who did what to a catalog, or to MODEL, the newest first.

    An .sqlite file and a server keep the log; a server shows it to who has a key (MODELSTAC_KEY).
    """
    from modelstac.catalog.journal import MOST, Asked

    opened = existing_catalog(catalog)
    entries: list[Entry] = []
    before: int | None = None
    while len(entries) < limit:
        asked = Asked(model, item, action, by, when, before=before, limit=min(limit - len(entries), MOST))
        found, before = opened.audit(asked)
        entries += found
        if before is None:
            break
    if as_json:
        print_json([entry.to_dict() for entry in entries])
    elif entries:
        rows = [(e.at[:19] + "Z", e.by, e.action, e.item or e.collection or "", _told(e)) for e in entries]
        say(columns(("WHEN", "WHO", "WHAT", "OF", ""), rows))
    else:
        say("nobody did anything of that kind", err=True)


def _told(entry: Entry) -> str:
    said = [entry.detail.get("alias") and f"@{entry.detail['alias']}", entry.detail.get("team")]
    if before := entry.detail.get("before"):
        said.append(f"instead of {before}")
    said.append(", ".join(entry.detail.get("fields", ())))
    return " ".join(str(part) for part in said if part)
