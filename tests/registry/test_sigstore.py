"""Signing by an identity where Sigstore cannot be reached: one line, and nothing is signed or taken as signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pystac
import pytest
from click.testing import CliRunner
from tests.registry.test_signing import write_onnx

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DownloadError, SpecError, UntrustedError
from modelstac.cli import main

WHO = "sigstore:me@example.org,https://accounts.google.com"


@pytest.fixture
def catalog(tmp_path: Path, make_item: Callable[..., pystac.Item], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))  # where sigstore keeps what it learned of trust
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    open_catalog(tmp_path / "catalog", create=True).publish(make_item(write_onnx(tmp_path / "model.onnx"), "onnx"))
    return tmp_path / "catalog"


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_network_nothing_is_signed_and_one_line_says_why(
    catalog: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    monkeypatch.setenv("MODELSTAC_OFFLINE", offline)
    done = CliRunner().invoke(main, ["sign", "smooth-1.0.0-onnx", "--sigstore", "--token", "a.b.c", "-c", str(catalog)])
    assert done.exit_code != 0
    assert "(--key)" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    item = open_catalog(catalog).get("smooth-1.0.0-onnx")
    assert "signature" not in item.assets
    with pytest.raises(UntrustedError, match="is not signed"):
        modelstac.load(item, require_signature=[WHO])


def test_an_identity_that_cannot_be_asked_about_is_not_taken(catalog: Path) -> None:
    item = open_catalog(catalog).get("smooth-1.0.0-onnx")
    item.assets["signature"] = pystac.Asset("data:application/vnd.dev.sigstore.bundle.v0.3+json;base64,e30=")
    with pytest.raises(DownloadError, match="Sigstore cannot be reached"):
        modelstac.load(item, require_signature=[WHO])
    with pytest.raises(SpecError, match="sigstore:IDENTITY,ISSUER"):
        modelstac.load(item, require_signature=["sigstore:me"])


def test_a_key_or_an_identity_and_not_both(catalog: Path) -> None:
    for options in ([], ["--sigstore", "--key", "key.pem"]):
        done = CliRunner().invoke(main, ["sign", "smooth-1.0.0-onnx", "-c", str(catalog), *options])
        assert done.exit_code == 2
        assert "--sigstore" in done.stderr
