"""``modelstac resolve``: which model file would be run here, and why that one."""

from __future__ import annotations

from typing import Any

import click

from modelstac.cli.common.options import catalog_option, json_option, print_json
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("what", metavar="WHAT")
@click.option("--explain", is_flag=True, help="Say of every candidate why it was chosen or not.")
@click.option("--framework", metavar="NAME", help="Keras, PyTorch, ONNX, …, however it is spelled.")
@click.option("--framework-version", metavar="RANGE", help="For example '>=2.7,<3'.")
@click.option("--backend", metavar="NAME", help="Backend of a Keras model: tensorflow, torch or jax.")
@click.option("--backend-version", metavar="RANGE", help="For example '>=2.19'.")
@click.option("--format", metavar="NAME", help="File format: keras, torch, onnx, …")
@click.option("--variant", metavar="NAME", help="Variant, as the item calls it.")
@click.option("--asset", metavar="KEY", help="Which file of an item that has several models.")
@click.option("--precision", metavar="NAME", help="fp32, fp16, bf16 or int8.")
@click.option("--accelerator", metavar="NAME", help="What it was made for, for example cuda.")
@click.option("--strict", is_flag=True, help="Only the framework's version that made it, or in which it was verified.")
@catalog_option
@json_option("the choice, with --explain every candidate")
def resolve(*, what: str, explain: bool, catalog: str | None, as_json: bool, strict: bool, **wishes: Any) -> None:
    """Choose the model file that is best run on this machine.

    WHAT is an item id, MODEL@ALIAS, MODEL, MODEL with a range of versions ('rain>=1,<2'), or URL or path of an item.
    """
    from modelstac.registry import resolve as choose

    found = choose(what, catalog=catalog, strict=strict, **wishes)
    if as_json:
        print_json(found.to_json() if explain else found.chosen.to_json())
    elif explain:
        say(found.explain())
    else:
        say(found.chosen.name)
        if found.note is not None:
            say(f"note: {found.note}", err=True)
