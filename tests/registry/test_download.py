"""Files behind TLS, by a certificate of an authority of one's own."""

from __future__ import annotations

import ipaddress
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.registry.http_server import serving
from tests.registry.test_cache import CONTENT, get

from modelstac.catalog.errors import DownloadError, MissingPackageError, NotFoundError
from modelstac.registry.files.cache import Cache

NOW = datetime.now(UTC)


def signed(key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("ours", "127.0.0.1")]
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(names[0], names[not authority], key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    return builder.add_extension(address, critical=False).sign(by, hashes.SHA256())


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """An authority in ``authority.pem``, and a server's certificate by it."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = serialization.Encoding.PEM
    (tmp_path / "authority.pem").write_bytes(signed(authority, authority, authority=True).public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(signed(key, authority, authority=False).public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


def test_own_authority_is_trusted_when_it_is_named_and_only_then(
    tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    with serving(CONTENT, tls) as server:
        assert server.url.startswith("https://")
        with pytest.raises(DownloadError, match=r"certificate is not trusted here; .*SSL_CERT_FILE"):
            get(cache, f"{server.url}/ok/m")
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert get(cache, f"{server.url}/breaks/m?signature=x") == CONTENT  # gone on from over TLS too
        assert len(server.requests) > 1


def test_the_web_is_read_without_obstore_and_a_store_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)  # what importing it finds where it is not installed
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    cache = Cache(tmp_path / "cache")
    with serving(CONTENT) as server:
        assert get(cache, f"{server.url}/ok/m") == CONTENT
        server.reset()
        assert get(Cache(tmp_path / "other"), f"{server.url}/breaks/m") == CONTENT
        assert server.requests[:2] == ["/breaks/m None", "/breaks/m bytes=300000-"]
        with pytest.raises(NotFoundError, match=r"404.*publisher"):
            get(Cache(tmp_path / "third"), f"{server.url}/404/m")
        monkeypatch.setenv("MODELSTAC_TIMEOUT", "0.5")
        server.pause_at = 100_000
        with pytest.raises(DownloadError, match=r"stalled.*MODELSTAC_TIMEOUT"):
            get(Cache(tmp_path / "fourth"), f"{server.url}/ok/m")
    with pytest.raises(MissingPackageError, match=r"needs obstore.*modelstac\[catalog\]"):
        get(Cache(tmp_path / "fifth"), "s3://bucket/m")
