"""``modelstac webhooks``: who is told of what is published, and of where aliases point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import columns, json_option, print_json
from modelstac.cli.common.terminal import say
from modelstac.cli.keeping.settings import DATABASE, settings_of

if TYPE_CHECKING:
    from modelstac.catalog.server.settings import ServerSettings


@click.group()
@click.option("--catalog", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="The catalog that is served.")
@click.option("--database", metavar=DATABASE, help="The pgstac database that is served.")
@click.option("--webhooks", type=click.Path(path_type=Path), metavar="FILE", help="File of the webhooks.")
@click.pass_context
def webhooks(context: click.Context, /, **given: Any) -> None:
    """Tell other services of what is published, and of where aliases point; look after what could not be sent."""
    context.obj = settings_of(**given)


@webhooks.command("add", short_help="Send what happens from now on to a URL.")
@click.argument("name")
@click.argument("url")
@click.option("--event", "events", multiple=True, type=click.Choice(["publish", "alias"]), help="Only this (both).")
@json_option("the webhook")
@click.pass_obj
def add(settings: ServerSettings, name: str, url: str, events: tuple[str, ...], as_json: bool) -> None:
    """Send what happens from now on to URL, and print the secret that signs it; it cannot be shown again."""
    from modelstac.catalog.server.webhooks.hooks import EVENTS, Hooks

    hook = Hooks(settings.webhooks_file).make(name, url, events or tuple(EVENTS))
    if as_json:
        print_json({"name": name, "url": url, "events": list(hook.events), "secret": hook.secret})
    else:
        say(hook.secret)


@webhooks.command("list")
@json_option("the webhooks")
@click.pass_obj
def list_all(settings: ServerSettings, as_json: bool) -> None:
    """List the webhooks, without their secrets."""
    from modelstac.catalog.server.webhooks.hooks import Hooks

    known = Hooks(settings.webhooks_file).all()
    if as_json:
        print_json([{"name": h.name, "url": h.url, "events": list(h.events), "created": h.created} for h in known])
    else:
        say(columns(("NAME", "URL", "EVENTS"), [(h.name, h.url, ", ".join(h.events)) for h in known]))


@webhooks.command("remove")
@click.argument("name")
@click.pass_obj
def remove(settings: ServerSettings, name: str) -> None:
    """Send nothing more to the webhook NAME."""
    from modelstac.catalog.server.webhooks.hooks import Hooks

    Hooks(settings.webhooks_file).remove(name)
    say(f"removed {name}")


@webhooks.command("dead")
@json_option("them")
@click.pass_obj
def dead(settings: ServerSettings, as_json: bool) -> None:
    """List what was given up, the newest first."""
    from modelstac.catalog.server.webhooks import outbox

    found = _asked(settings, outbox.dead)
    if as_json:
        print_json([vars(one) | {"entry": one.entry.to_dict()} for one in found])
    elif found:
        rows = [
            (str(o.number), o.hook, o.entry.action, o.entry.item or "", str(o.attempts), o.error or "") for o in found
        ]
        say(columns(("NUMBER", "WEBHOOK", "WHAT", "OF", "TRIES", "WHY"), rows))
    else:
        say("nothing was given up", err=True)


@webhooks.command("retry", short_help="Send what was given up once more.")
@click.argument("number", type=int, required=False)
@click.pass_obj
def retry(settings: ServerSettings, number: int | None) -> None:
    """Send what was given up once more: the dead letter NUMBER, or all; a running server does it."""
    from modelstac.catalog.server.webhooks import outbox

    count = _asked(settings, lambda session: outbox.revive(session, number))
    say(f"{count} to be sent again")


def _asked(settings: ServerSettings, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from modelstac.catalog.server.serve import open_store

    async def ask() -> Any:
        store = open_store(settings)
        await store.open()
        try:
            return await store.run(work, write=True)
        finally:
            await store.close()

    return asyncio.run(ask())
