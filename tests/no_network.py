"""Runs a program from which the kernel keeps all internet sockets; each try is printed with what was running.

``python no_network.py PROGRAM ARGUMENT…``. A filter of seccomp turns ``socket(AF_INET…)`` into a signal, in whatever
language it is called, for this process and its children, whom it ends: a look-up of a name needs such a socket, too.
Python's own hooks would not see what the libraries of a framework do. One kind is let through: when urllib3 is
imported, it makes a stream socket of IPv6 to see whether there is such a thing, and connects it to nobody.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import platform
import runpy
import signal
import socket
import struct
import sys
from pathlib import Path

MARK = "(most recent call first)"
"""Stands in what is printed for each try."""
SOCKET = {"x86_64": 41, "aarch64": 198}
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06  # BPF: load a word, mask it, jump if equal or else, return
_ALLOW, _TRAP = 0x7FFF0000, 0x00030000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def forbid() -> None:
    """Forbid internet sockets from here on; there is no way back."""
    steps = [
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_EQUAL, 0, 6, SOCKET[platform.machine()]),
        (_LOAD, 0, 0, 16),  # its first argument
        (_EQUAL, 5, 0, socket.AF_INET),
        (_EQUAL, 0, 3, socket.AF_INET6),
        (_LOAD, 0, 0, 24),  # its second argument, which has flags beside the type
        (_AND, 0, 0, 0xF),
        (_EQUAL, 0, 1, socket.SOCK_STREAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _TRAP),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_ = ctypes.create_string_buffer(struct.pack("HL", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    faulthandler.register(signal.SIGSYS, file=sys.stderr, all_threads=False)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, filter_, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main(program: Path, *arguments: str) -> None:
    """Run it as ``python PROGRAM ARGUMENT…`` would, but for taking its frameworks apart at the end.

    Where it says on what Keras is to run, that is imported before, in half of the time, as our commands do.
    """
    sys.argv = [str(program), *arguments]
    sys.path.insert(0, str(program.parent))
    forbid()
    if backend := os.environ.get("KERAS_BACKEND"):
        from modelstac.registry.runtimes.backends import require_keras, spare_beside

        spare_beside()
        require_keras(backend, purpose="the test")
    runpy.run_path(str(program), run_name="__main__")
    from modelstac.registry.isolated.answers import leave  # not before the program, which is to import what it wants

    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
