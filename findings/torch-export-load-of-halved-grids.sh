#!/usr/bin/env bash
# Which:    torch 2.13.0: torch.export.load of a program for any height and width.
# What:     each convolution of stride 2 that is padded so that it gives ceil(n / 2) ("same", as TensorFlow and Keras pad)
#           makes loading four to seven times slower. It takes several times as long as tracing the module did.
# Expected: loading takes less time than tracing and does not depend on whether sizes are open: 0.02 s, as for fixed sizes.
# Seen:     processor seconds of loading 1, 2, 3 (and 4) such convolutions of one channel: 0.3, 2, 10 (and 43), where
#           tracing takes 1.6, 0.9, 2 (and 5). The same programs of fixed sizes load in 0.02 s each.
# Who:      everybody who publishes a network for any grid that was made for "same" padding (MobileNet and EfficientNet
#           halve five times) as .pt2: fix height and width, or keep to ONNX.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3
cat > "$folder/show.py" <<'PY'
import io
import logging
import time
import warnings

import torch

warnings.simplefilter("ignore")
logging.disable()


class Halving(torch.nn.Module):
    """Convolutions of stride 2, padded to half of any size, rounded up."""

    def __init__(self, times):
        super().__init__()
        self.steps = torch.nn.ModuleList(torch.nn.Conv2d(1, 1, 3, stride=2) for _ in range(times))

    def forward(self, x):
        for step in self.steps:
            pads = []
            for size in (x.shape[3], x.shape[2]):
                pad = max((-(size // -2) - 1) * 2 + 3 - size, 0)
                pads += [pad // 2, pad - pad // 2]
            x = step(torch.nn.functional.pad(x, pads))
        return x


def seconds(action):
    start = time.process_time()
    return action(), time.process_time() - start


print("torch", torch.__version__)
auto = torch.export.Dim.AUTO
traced, loaded = {}, {}
for times in (1, 2, 3):
    module, given = Halving(times).eval(), torch.rand(1, 1, 64, 80)
    for sizes in ("open", "fixed"):
        dims = ({2: auto, 3: auto},) if sizes == "open" else None
        program, traced[sizes, times] = seconds(lambda: torch.export.export(module, (given,), dynamic_shapes=dims))
        held = io.BytesIO()
        torch.export.save(program, held)
        held.seek(0)
        again, loaded[sizes, times] = seconds(lambda: torch.export.load(held))
        assert torch.equal(again.module()(given), module(given))
        if sizes == "open":
            other = torch.rand(1, 1, 75, 91)
            assert torch.equal(again.module()(other), module(other))
        print(f"{times} halvings, {sizes}: traced in {traced[sizes, times]:.1f} s, loaded in {loaded[sizes, times]:.2f} s")
assert loaded["open", 3] > 10 * loaded["open", 1], loaded
assert loaded["open", 3] > 2 * traced["open", 3], (loaded, traced)
assert loaded["open", 3] > 50 * loaded["fixed", 3], loaded
print("seen: a program for any grid takes longer to load than to trace, and several times longer with each halving")
PY
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/show.py"
