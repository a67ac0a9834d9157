"""Settings of the server, as its commands take them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstac.catalog.server.settings import ServerSettings

DATABASE = "postgresql://USER@HOST:PORT/NAME"


def settings_of(**given: Any) -> ServerSettings:
    """Return the settings of a server: those of the environment, and those that are given."""
    from pydantic import ValidationError

    from modelstac.catalog.errors import CatalogError, MissingPackageError

    try:
        from pydantic_settings import SettingsError

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
    except SettingsError as error:
        named_in = re.search(r'field "(\w+)"', str(error))
        setting = f"MODELSTAC_{named_in[1]}".upper() if named_in else "one of MODELSTAC_…"
        reason = 'this is no JSON, such as ["…", "…"] for a list of texts'
        raise CatalogError(f"setting {setting}: {reason}") from error
