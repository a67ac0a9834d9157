#!/usr/bin/env bash
# Which:    torch 2.13.0, onnxscript 0.7.2 (torch.onnx.export), ONNX Runtime 1.32.0.
# What:     some arguments of common functions are left out of the graph, and the export succeeds.
# Expected: the module's numbers, or a refusal, as of operators that are not known.
# Seen:     avg_pool2d(divisor_override=3) divides by four; scatter_reduce("mean", include_self=False), the mean of a segment,
#           keeps the last value; cross_entropy(label_smoothing=0.1), an anomaly score, is the plain one.
# Who:      whoever pools by weights, averages over parcels or superpixels inside a network, or scores by a loss.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 onnxscript==0.7.2 onnx==1.22.0 onnxruntime==1.32.0 numpy==2.1.3
export XDG_CACHE_HOME="$folder"
cat > "$folder/show.py" <<'PY'
import contextlib
import io
import logging
import sys
import warnings

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
torch.manual_seed(0)
print("torch", torch.__version__)


def both(name, function, *tensors):
    class Module(torch.nn.Module):
        def forward(self, *given):
            return function(*given)

    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(Module().eval(), tensors, f"{sys.argv[1]}/m.onnx", dynamo=True)
    session = onnxruntime.InferenceSession(f"{sys.argv[1]}/m.onnx", providers=["CPUExecutionProvider"])
    feed = {entry.name: tensor.numpy() for entry, tensor in zip(session.get_inputs(), tensors, strict=True)}
    own, [found] = function(*tensors).numpy(), session.run(None, feed)
    print(f"{name}: torch {np.round(own.ravel()[:4], 4)}, ONNX {np.round(found.ravel()[:4], 4)}")
    return own, found


image, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
own, found = both("avg_pool2d", lambda x: F.avg_pool2d(x, 2), image)
assert np.allclose(own, found, atol=1e-6)
own, found = both("avg_pool2d, divisor_override=3", lambda x: F.avg_pool2d(x, 2, divisor_override=3), image)
assert np.allclose(own, found * 4 / 3, atol=1e-6)
assert not np.allclose(own, found, atol=0.01)

values, parcels = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0, 0, 2, 2])


def segments(how):
    return lambda x, place: torch.zeros(3).scatter_reduce(0, place, x, how, include_self=False)


own, found = both("scatter_reduce, largest", segments("amax"), values, parcels)
assert np.array_equal(own, found)
own, found = both("scatter_reduce, mean", segments("mean"), values, parcels)
assert own.tolist() == [1.5, 0, 3.5]
assert found.tolist() == [2, 0, 4]

own, found = both("cross_entropy", lambda x, y: F.cross_entropy(x, y), image, labels)
assert np.allclose(own, found, atol=1e-6)
plain = own
own, found = both("cross_entropy, label_smoothing=0.1", lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), image, labels)
assert np.allclose(found, plain, atol=1e-6)
assert abs(own - found) > 1e-3
print("seen: arguments that change the numbers are not in the graph")
PY
"$folder/venv/bin/python" "$folder/show.py" "$folder"
