"""What a result is of: the digests of what builds a model, what converts it and what judges it."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpus.entries import Entry
from benchmarks.corpus.workers import ROOT

HERE = Path(__file__).parent


def text_digest(entry: Entry) -> str:
    """Give the digest of what builds an architecture: its function and what else its module has, and how it is run.

    Of the syntax tree, so that neither comments nor layout count, and without the other architectures of the module.
    """
    found = hashlib.sha256(repr((entry.name, entry.inputs)).encode())
    for path in (Path(inspect.getsourcefile(entry.build) or ""), *(HERE / n for n in ("building.py", "entries.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            other = isinstance(node, ast.FunctionDef) and node.decorator_list and node.name != entry.build.__name__
            if not other:
                found.update(ast.dump(node).encode())
    return found.hexdigest()[:12]


def tree_digest(folders: Sequence[Path]) -> str:
    """Give the digest of all Python files of some folders."""
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


@functools.cache
def code_digest() -> str:
    """Give the digest of this project's code, as far as a conversion uses it; of when this process first asked."""
    code = tree_digest([ROOT / name for name in ("catalog", "registry", "training", "exporters")])
    return code + file_digest("ours.py")[:4]


@functools.cache
def file_digest(name: str) -> str:
    """Give the digest of a module beside this one: ``peers.py`` says how tools are called, ``judging.py`` compares."""
    return hashlib.sha256((HERE / name).read_bytes()).hexdigest()[:12]
