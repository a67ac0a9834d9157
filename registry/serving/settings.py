"""Every setting of inference by HTTP, with its environment variable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1 << 20


class InferenceSettings(BaseSettings):
    """How models are run for clients; each field is set by ``MODELSTAC_PREDICT_`` and its name."""

    model_config = SettingsConfigDict(env_prefix="MODELSTAC_PREDICT_", extra="ignore", frozen=True)

    access: Literal["open", "keys"] = Field(
        default="open", description="Who may run models: who reaches the server, or who has a key of 'modelstac keys'."
    )
    max_body: int = Field(default=64 * MIB, ge=1, description="Largest request in bytes, as sent and unpacked.")
    max_memory: int = Field(
        default=1024 * MIB,
        ge=1,
        description="Bytes of requests, their arrays and results at one time; who comes when they are taken gets 503.",
    )
    max_batch: int = Field(
        default=32, ge=1, description="Most samples of several requests that run together; 1 runs each by itself."
    )
    workers: int = Field(default=4, ge=1, description="How many runs of a model may go on at one time.")
    refresh_seconds: float = Field(
        default=5.0, gt=0, description="How often an alias, or a name without a version, is looked up again."
    )
    seconds: float = Field(default=60.0, gt=0, description="How long a request may take with its body and its wait.")
