"""Peak memory of one training step, in a process of its own: ``python -m benchmarks.training_memory WAY SPEC.json``.

Prints what the process held at its peak, in MiB (resident, as the kernel counts it).
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks.thesis_convlstm import ThesisConvLSTM
from modelstac.training.architectures import convlstm_torch
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

WAYS = ("thesis", "ours", "ours, all gates computed again")


def model_of(way: str, spec: ConvLSTMSpec) -> torch.nn.Module:
    """Build the network in one of the ways, with the same weights."""
    ours = convlstm_torch.build(spec)
    convlstm_torch.set_weights(ours, initial_weights(spec, 0))
    if way == "thesis":
        theirs = ThesisConvLSTM(spec.filters, spec.kernels)
        theirs.take(ours)
        return theirs
    if way != "ours":
        ours.recompute()
    return ours


def peak() -> int:
    """Give the most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(way: str, file: str) -> None:
    spec = ConvLSTMSpec.from_dict(json.loads(Path(file).read_text()))
    model = model_of(way, spec).train()
    frames = torch.rand(2, 1, spec.frames, 1, spec.height, spec.width)
    functional.binary_cross_entropy(model(frames[0]), frames[1]).backward()
    print(peak())


if __name__ == "__main__":
    main(*sys.argv[1:])
