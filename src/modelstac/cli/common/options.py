"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from modelstac.catalog.terminal import escaped

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.base import Catalog

Command = TypeVar("Command", bound=Callable[..., Any])


def catalog_option(command: Command) -> Command:
    """Add ``--catalog``."""
    return click.option(
        "--catalog",
        "-c",
        envvar="MODELSTAC_CATALOG",
        show_envvar=True,
        metavar="CATALOG",
        help="The catalog: a folder, an .sqlite file or a URL.",
    )(command)


def json_option(what: str) -> Callable[[Command], Command]:
    """Add ``--json``, which prints ``what``."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")


def trust_option(command: Command) -> Command:
    """Add ``--trust``."""
    return click.option(
        "--trust",
        multiple=True,
        metavar="WORD",
        help="What of this item may run code: entrypoint:PACKAGE, operators:DOMAIN, custom:PACKAGE, pickle, lambda.",
    )(command)


def existing_catalog(href: str | None) -> Catalog:
    """Open the catalog that the command was given, or that the environment names."""
    from modelstac.registry.choosing.default import default_catalog

    return default_catalog(href)


def named_item(what: str, catalog: str | None) -> pystac.Item:
    """Return the item that an id, alias, name with or without a range of versions, URL or path names; the newest."""
    from modelstac.registry.choosing.references import named

    return named(what, catalog)


def new_or_existing_catalog(href: str | None) -> Catalog:
    """Open the catalog to publish into; it is made when its folder is not there or empty."""
    from modelstac.catalog import open_catalog
    from modelstac.registry.choosing.default import default_catalog

    return open_catalog(href, create=True) if href else default_catalog()


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    click.echo(escaped(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def read_text(path: Path, what: str) -> str:
    """Read a file that the user named.

    Raises
    ------
    NotFoundError
        If there is no such file.
    StorageError
        If it cannot be read.
    DataError
        If it is no text.
    """
    from modelstac.catalog.errors import DataError, NotFoundError, StorageError

    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"no {what} {path}: check the path") from error
    except OSError as error:
        raise StorageError.doing(f"read {what} {path}", error, advice="check the path and who may read it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: expected {what} in JSON") from error


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align rows below a header; whole words even in a pipe, unlike a table fitted to a terminal."""
    table = [tuple(header), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)
