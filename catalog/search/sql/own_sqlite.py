"""Python's own SQLite, and not the one inside TensorFlow.

TensorFlow 2.19 carries an SQLite without R-tree whose symbols it shows to all that is loaded later: ``import sqlite3``
after ``import tensorflow`` gets that one (measured on Linux), and no catalog could be opened or searched. So the
extension module is loaded early, and bound to the library that it was linked with.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys


def load() -> None:
    """Load the extension module of ``sqlite3``, bound to its own library."""
    if "_sqlite3" in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        with contextlib.suppress(ImportError):  # a Python without SQLite: said where it is needed
            importlib.import_module("_sqlite3")
    finally:
        sys.setdlopenflags(flags)
