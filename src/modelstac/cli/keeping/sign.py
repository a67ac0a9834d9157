"""``modelstac sign`` and ``verify``: who published an item, and that it is still what he published."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from modelstac.cli.common.options import catalog_option, existing_catalog
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("item_id", metavar="ID")
@click.option("--key", type=click.Path(path_type=Path), help="Private key: PEM, elliptic curve P-256.")
@click.option("--sigstore", is_flag=True, help="Sign by an identity, over the network, instead of a key.")
@click.option("--token", help="OpenID token of the identity; by default the machine's, or the browser asks.")
@click.option("--password", envvar="MODELSTAC_KEY_PASSWORD", show_envvar=True, help="Of the key, if it is encrypted.")
@catalog_option
def sign(
    *, item_id: str, key: Path | None, sigstore: bool, token: str | None, password: str | None, catalog: str | None
) -> None:
    """Sign the item ID and its files; the signature becomes an asset of the item."""
    from modelstac.catalog.items.identity import SIGNATURE
    from modelstac.registry.trust import signing
    from modelstac.registry.trust import sigstore as keyless

    if (key is None) != sigstore:
        raise click.UsageError("give a key (--key) or sign by an identity (--sigstore)")
    opened = existing_catalog(catalog)
    item = opened.get(item_id)
    with progress() as report:
        if key is None:
            asset = keyless.sign(item, token=token, interactive=sys.stdin.isatty(), report=report)
        else:
            asset = signing.sign(item, key, password=password, report=report)
    opened.attach(item.id, SIGNATURE, asset)
    say(f"signed {item.id} and {len([k for k in item.assets if k != SIGNATURE])} files")


@click.command()
@click.argument("item_id", metavar="ID")
@click.option(
    "--key",
    "keys",
    required=True,
    multiple=True,
    metavar="KEY",
    help="Public key (PEM file), or sigstore:IDENTITY,ISSUER; can be repeated.",
)
@catalog_option
def verify(*, item_id: str, keys: tuple[str, ...], catalog: str | None) -> None:
    """Check that one of the keys signed the item ID, and that it and all its files are what was signed."""
    from modelstac.catalog.items.evidence import is_unproved
    from modelstac.registry.trust import signing
    from modelstac.registry.trust.bundle import verify_files

    item = existing_catalog(catalog).get(item_id)
    signing.verify(item, keys)
    with progress() as report:
        count = verify_files(item, rehash=True, report=report)
    say(f"{item.id} and its {count} files are what was signed")
    if is_unproved(item.properties):
        say(f"but nothing ran it: it was published unproved, prove it with modelstac probe {item.id} --record")
