"""``modelstac sign`` and ``verify``, with a key as openssl makes it."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def test_sign_and_verify(modelstac_command, catalog, here):
    key, form = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private = key.private_bytes(form, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = key.public_key().public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    (here / "key.pem").write_bytes(private)
    (here / "key.pub.pem").write_bytes(public)
    item = ("damped-1.0.0-onnx", "-c", catalog)
    before = modelstac_command("verify", *item, "--key", "key.pub.pem")
    assert before.returncode == 2
    assert "is not signed" in before.stderr
    assert modelstac_command("sign", *item, "--key", "key.pem").stdout == "signed damped-1.0.0-onnx and 1 files\n"
    done = modelstac_command("verify", *item, "--key", "key.pub.pem")
    assert done.stdout == "damped-1.0.0-onnx and its 1 files are what was signed\n", done.stderr
    found = list(catalog.rglob("damped.onnx")) if catalog.is_dir() else list(catalog.parent.rglob("damped.onnx"))
    for path in found:
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    changed = modelstac_command("verify", *item, "--key", "key.pub.pem")
    assert changed.returncode == 2
    assert changed.stderr.count("\n") == 1
    assert "is not the published file" in changed.stderr
