"""The one way in which commands print: what an item, a file or a server says is shown and does nothing."""

from __future__ import annotations

import click

from modelstac.catalog.terminal import harmless


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, or several, on stdout or stderr."""
    click.echo(harmless(text), err=err)
