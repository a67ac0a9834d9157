"""Open a file once in a process that may take so much memory and time and no more, before it is opened in this one.

Only for files of which nobody can say beforehand what opening them takes, and once for a file: what passed is noted.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import UntrustedError
from modelstac.registry.inspecting.budgets.growth import Growth

MEMORY, RATIO = 2 << 30, 16
"""Bytes that opening a file may take, and as many times its own size."""
SECONDS = 120
LEAST = 4
"""Bytes of a value whose type is not looked up."""
OUTGREW = 3
"""Exit code of a trial that ran out of memory."""
_LIMITS = """
import sys
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
try:
    import resource
except ImportError:
    resource = None
else:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
import json
lengths = json.loads(sys.stdin.buffer.readline())
data = sys.stdin.buffer.read(lengths.pop(""))
beside = {name: sys.stdin.buffer.read(length) for name, length in lengths.items()}
try:
{open}
except MemoryError:
    sys.exit(3)
except Exception as error:
    sys.exit(3 if "alloc" in str(error).lower() or "memory" in str(error).lower() else 0)
"""
ONNX = """
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    if beside:
        settings.add_external_initializers_from_files_in_memory(
            list(beside), list(beside.values()), [len(content) for content in beside.values()]
        )
    onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
"""
OPENVINO = """
    sys.modules.setdefault("openvino_telemetry", None)
    import io, zipfile, openvino
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        model, weights = archive.read("model.xml"), archive.read("model.bin")
    core = openvino.Core()
    core.compile_model(core.read_model(model=model, weights=weights), "CPU", {"INFERENCE_NUM_THREADS": 1})
"""
LITERT = """
    from ai_edge_litert.interpreter import Interpreter
    Interpreter(model_content=data, num_threads=1).allocate_tensors()
"""


def attempt(
    opening: str, data: bytes, path: Path, growth: Growth, beside: Mapping[str, bytes] = MappingProxyType({})
) -> None:
    """Refuse a file that takes more memory or time to open than a model of its size.

    What else is wrong with it, the runtime says.

    Parameters
    ----------
    opening
        Statements that open ``data``.
    data
        The file.
    path
        Its name in messages.
    growth
        What its constants may grow to; without any that may, nothing is tried.
    beside
        Files that it is opened with, by name.

    Raises
    ------
    UntrustedError
        If it does.
    """
    if growth.found is None:
        return
    memory = MEMORY + RATIO * (len(data) + sum(map(len, beside.values())))
    refusal = UntrustedError(
        f"{path} ({len(data)} bytes) would take more than {memory >> 20:,} MiB or {SECONDS} s to open, because of "
        f"{growth.found}: export the model without such constants"
    )
    if growth.certain * LEAST > memory:
        raise refusal
    command = [sys.executable, "-I", "-B", "-c", _LIMITS.replace("{open}", opening), str(memory), str(SECONDS)]
    lengths = {"": len(data)} | {name: len(content) for name, content in beside.items()}
    given = b"".join((json.dumps(lengths).encode(), b"\n", data, *beside.values()))
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=2 * SECONDS)  # noqa: S603
        code = done.returncode
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    if code == OUTGREW or code < 0:
        raise refusal
