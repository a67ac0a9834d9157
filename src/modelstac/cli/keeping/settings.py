"""Settings of the server, as its commands take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstac.catalog.server.settings import ServerSettings

DATABASE = "postgresql://USER@HOST:PORT/NAME"


def settings_of(**given: Any) -> ServerSettings:
    """Return the settings of a server: those of the environment, and those that are given."""
    from pydantic import ValidationError

    from modelstac.catalog.errors import CatalogError, MissingPackageError

    try:
        from modelstac.catalog.server.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "server", "serving a catalog") from error
    named = {name: value for name, value in given.items() if value is not None}
    if "catalog" in named and "database" not in named:
        named["database"] = None  # the file that is named goes before a database of the environment
    try:
        return ServerSettings(**named)
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogError(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
