"""Every setting of the server, with its environment variable."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PostgresDsn, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelstac.catalog.errors import CatalogError

MIB = 1 << 20


class ServerSettings(BaseSettings):
    """How the server runs; each field is set by ``MODELSTAC_`` and its name, such as ``MODELSTAC_DATABASE``."""

    model_config = SettingsConfigDict(env_prefix="MODELSTAC_", extra="ignore", frozen=True)

    catalog: Path | None = Field(default=None, description="File of the embedded catalog (.sqlite).")
    database: SecretStr | None = Field(default=None, description="postgresql:// URL of a pgstac database.")
    database_connections: int = Field(default=8, ge=1, description="Most connections to the database.")
    database_wait: float = Field(
        default=30.0, ge=0, description="How long to wait for a database that does not answer yet, at the start."
    )
    title: str = Field(default="Models for Earth observation", description="Title of the landing page.")
    description: str = Field(
        default="Trained models as STAC items: search them by framework and version, load them by id.",
        description="Text of the landing page.",
    )
    landing_id: str = Field(default="modelstac", description="Id of the landing page, which clients see.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    root_path: str = Field(default="", description="Path below which a proxy shows the server.")
    writes: Literal["keys", "open"] = Field(
        default="keys",
        description="Who may write: who has a key, or ('open', behind a proxy that checks) who reaches the server.",
    )
    keys: Path | None = Field(default=None, description="File of the write keys; beside the catalog by default.")
    webhooks: Path | None = Field(
        default=None, description="File of the webhooks and their secrets; beside the catalog by default."
    )
    webhook_private: bool = Field(
        default=False, description="Whether webhooks may be sent to addresses of private networks."
    )
    webhook_seconds: float = Field(default=10.0, gt=0, description="How long a webhook's receiver may take.")
    webhook_retry_seconds: tuple[float, ...] = Field(
        default=(5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 86400.0),
        description="Waits after each failure of a webhook, as a JSON list; after the last it is a dead letter.",
    )
    artifacts: str | None = Field(
        default=None, description="Folder or URL (s3://…) of the artifacts; beside the catalog by default."
    )
    browser: Path | None = Field(
        default=None, description="Folder of a built STAC Browser, shown at /browser; .browser/dist by default."
    )
    cors_origins: tuple[str, ...] = Field(default=("*",), description="Sites whose pages may ask, as a JSON list.")
    items: Literal["models", "any"] = Field(
        default="models", description="What may be published: models and datasets, or any STAC item beside them."
    )
    alias_rules: dict[str, tuple[Literal["self_test", "proved", "scores", "signature"], ...]] = Field(
        default={},
        description='What aliases of every model require, as JSON such as {"champion": ["self_test", "scores"]}.',
    )
    max_body: int = Field(default=10 * MIB, ge=1, description="Largest request in bytes, artifacts apart.")
    max_artifact: int = Field(default=20 * 1024 * MIB, ge=1, description="Largest artifact in bytes.")
    max_search: int = Field(default=MIB, ge=1, description="Largest search by POST in bytes.")
    search_seconds: float = Field(default=20.0, gt=0, description="How long a search may take in the catalog.")
    request_seconds: float = Field(
        default=60.0, gt=0, description="How long a request may take with its body, artifacts and bulk requests apart."
    )
    shutdown_seconds: int = Field(default=10, ge=0, description="How long running requests may take at the end.")
    log_level: str = Field(default="info", description="debug, info, warning or error.")

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        return f"/{path}" if (path := value.strip("/")) else ""

    def database_url(self) -> str | None:
        """Return the address of the pgstac database, None when the catalog is embedded.

        Raises
        ------
        CatalogError
            If it is no PostgreSQL URL. The message does not repeat it: it may hold a password.
        """
        if self.database is None:
            return None
        url = self.database.get_secret_value()
        try:
            PostgresDsn(url)
        except ValueError as error:
            raise CatalogError(
                "MODELSTAC_DATABASE is no PostgreSQL address: postgresql://user@host:5432/name is needed"
            ) from error
        return url

    def beside(self, suffix: str) -> Path:
        """Return the default place of a file of the server's: beside the catalog, or in the working directory."""
        return Path(f"modelstac{suffix}") if self.catalog is None else self.catalog.with_suffix(suffix)

    @property
    def browser_folder(self) -> Path | None:
        """Return the folder of a built STAC Browser, by default where ``make browser`` builds it; None without."""
        built = Path(".browser/dist")
        return self.browser or (built if built.is_dir() else None)

    @property
    def keys_file(self) -> Path:
        """Return the file of the write keys."""
        return self.keys or self.beside(".keys.json")

    @property
    def webhooks_file(self) -> Path:
        """Return the file of the webhooks."""
        return self.webhooks or self.beside(".webhooks.json")

    @property
    def artifact_place(self) -> str:
        """Return the folder or URL of the artifacts."""
        place = self.artifacts or str(self.beside(".artifacts"))
        return place if "://" in place else str(Path(place).absolute())
