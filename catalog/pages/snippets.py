"""How a model is tried, as lines that run: in Python and in a shell."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from collections.abc import Sequence

from modelstac.catalog.pages.tensors import Tensor

_FILE = re.compile(r"[^\w.-]+")


def python(reference: str, catalog: str, inputs: Sequence[Tensor]) -> str:
    """Return lines of Python that load a model and run it on zeros of a shape that fits.

    Parameters
    ----------
    reference
        Id, or name and alias.
    catalog
        Where it is found.
    inputs
        Of the model.
    """
    known = bool(inputs) and all(one.example is not None and one.dtype for one in inputs)
    lines = ["import numpy as np", ""] if known else []
    lines += ["import modelstac", ""]
    lines.append(f"model = modelstac.load({_quoted(reference)}, catalog={_quoted(catalog)})")
    if not known:
        return "\n".join([*lines, "print(model.signature)  # what it takes and gives"])
    arrays = [f"np.zeros({_shape(one)}, dtype={_quoted(one.dtype)})" for one in inputs]
    names = [one.name for one in inputs]
    scaled = any(one.is_scaled for one in inputs)
    yours, how = ("physical values, yours here", ", scaled=False") if scaled else ("yours here", "")
    if len(inputs) == 1:
        return "\n".join([*lines, f"array = {arrays[0]}  # {yours}", f"result = model.predict(array{how})"])
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        given = [f"    {name}={array}," for name, array in zip(names, arrays, strict=True)]
        given += ["    scaled=False,  # physical values"] if scaled else []
        return "\n".join([*lines, "result = model.predict(  # your arrays here", *given, ")"])
    given = [f"    {_quoted(name)}: {array}," for name, array in zip(names, arrays, strict=True)]
    call = "predict" if scaled else "run"
    return "\n".join([*lines, f"result = model.{call}({{  # your arrays here", *given, f"}}{how})"])


def shell(reference: str, catalog: str, inputs: Sequence[Tensor], *, example: bool) -> str:
    """Return lines of a shell that show a model, test it where it was published with an example, and run it."""
    id_of_it = shlex.quote(reference)
    lines = [f"export MODELSTAC_CATALOG={shlex.quote(catalog)}", f"modelstac show {id_of_it}"]
    lines += [f"modelstac test {id_of_it}"] if example else []
    if len(inputs) == 1 and inputs[0].is_scene:
        return "\n".join([*lines, f"modelstac predict {id_of_it} scene.tif --output map.tif"])
    if len(inputs) < 2:
        return "\n".join([*lines, f"modelstac predict {id_of_it} --input input.npy --output output.npz"])
    files = [f"{one.name}={_FILE.sub('-', one.name)}.npy" for one in inputs]
    given = [f"--input {shlex.quote(file)}" for file in files]
    return "\n".join([*lines, " \\\n  ".join([f"modelstac predict {id_of_it}", *given, "--output output.npz"])])


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.example or ()))


def _quoted(plain: str) -> str:
    return json.dumps(plain, ensure_ascii=False)
