"""``modelstac serve``: choose the store, put the service together, and run it until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pystac.errors import DeprecatedWarning

from modelstac.catalog.errors import CatalogError, MissingPackageError, StorageError
from modelstac.catalog.server.beside import Service
from modelstac.catalog.server.files.artifacts import ArtifactStore
from modelstac.catalog.server.settings import ServerSettings
from modelstac.catalog.server.stores.store import Store

if TYPE_CHECKING:
    import uvicorn

_OBJECTS_AT_A_TIME = 50_000


def open_store(settings: ServerSettings, *, create: bool = False) -> Store:
    """Return the store that the settings name.

    Parameters
    ----------
    create
        Make the file of the catalog if there is none.

    Raises
    ------
    CatalogError
        If they name none, or a file that is not there.
    MissingPackageError
        If pgstac is wanted and its packages are not installed.
    """
    store = _store(settings, create)
    store.alias_rules = settings.alias_rules
    return store


def _store(settings: ServerSettings, create: bool) -> Store:
    url = settings.database_url()
    artifacts = ArtifactStore(settings.artifact_place, limit=settings.max_artifact)
    if url is None:
        if settings.catalog is None:
            raise CatalogError("serve needs --catalog FILE.sqlite or --database postgresql://…")
        from modelstac.catalog.backends.embedded import EmbeddedCatalog
        from modelstac.catalog.server.stores.embedded import EmbeddedStore

        catalog = EmbeddedCatalog(settings.catalog, create=create)
        return EmbeddedStore(catalog, artifacts, seconds=settings.search_seconds)
    try:
        from modelstac.catalog.server.stores.pgstac import PgstacStore
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "pgstac", "serving a pgstac database") from error
    return PgstacStore(
        url,
        artifacts,
        connections=settings.database_connections,
        seconds=settings.search_seconds,
        wait=settings.database_wait,
    )


def serve(settings: ServerSettings, beside: Callable[[str], Service] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; running requests are answered first.

    Parameters
    ----------
    beside
        Makes what is served beside the STAC API; gets the address of the server on this machine.

    Raises
    ------
    CatalogError, MissingPackageError
        As :func:`open_store` does.
    StorageError
        If the address is taken, or the database does not answer for as long as the settings say.
    """
    # Warns at import, about defaults that this server replaces.
    logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
    try:
        import uvicorn

        from modelstac.catalog.server.app import create_app
        from modelstac.catalog.server.watching.middleware import JsonLines
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "server", "serving a catalog") from error

    store = open_store(settings, create=True)
    _log(settings.log_level, JsonLines())
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _listening(settings):
            listener.bind((settings.host, settings.port))
        local = _address(listener, instead={"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104
        service = None if beside is None else beside(local)

        def end() -> None:
            server.should_exit = True

        config = uvicorn.Config(
            create_app(settings, store, service, end=end),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
        _keep_pauses_short()
        server = uvicorn.Server(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_answer(server, store, settings, listener))
    if service is not None and service.failure is not None:
        raise service.failure
    if not server.started:
        raise StorageError("the server could not start: its log above says why")


def _log(level: str, form: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # That an item is deprecated, which is read here for somebody, is no news for who keeps the server.
    warnings.filterwarnings("ignore", category=DeprecatedWarning)


def _keep_pauses_short() -> None:
    # What was made up to here lives as long as the server: no collection of garbage needs to look at it again.
    gc.collect()
    gc.freeze()
    # And of what comes and goes with requests, hardly anything has cycles.
    gc.set_threshold(_OBJECTS_AT_A_TIME, 10, 10)
    # While a thread checks items, every answer of a database waits for its turn: a tenth of what Python allows it.
    sys.setswitchinterval(0.0005)


async def _answer(server: uvicorn.Server, store: Store, settings: ServerSettings, listener: socket.socket) -> None:
    """Answer from the store, once it is open; before, the address is taken and nobody can connect."""
    await store.open()
    with _listening(settings):
        listener.listen(1024)
    logging.getLogger("modelstac.server").info("listening on %s", _address(listener))
    # uvicorn raises the signal again once it has shut down: then all is done, and the exit code is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    await server.serve(sockets=[listener])


def _address(listener: socket.socket, *, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    host, port = listener.getsockname()[:2]
    host = instead.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _listening(settings: ServerSettings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        raise StorageError.doing(f"listen on {address}", error, advice="choose another --port or --host") from error
