#!/usr/bin/env bash
# Which:    torch 2.13.0, torch.export.export (as it traces by default) and torch.onnx.export(dynamo=True).
# What:     after an export the module itself computes something else: its lists and dictionaries have become copies.
# Expected: an export leaves the module as it was.
# Seen:     a module that reads features which a hook puts into its dictionary gives, after the export, what it gave of
#           the last image before, whatever it is given: the hook fills the dictionary that it knows, and the module has
#           another one. Nothing is said; the layer under the hook gets no gradient any more. With strict=True the
#           dictionary stays. Hooks that are methods of the module, or set an attribute, are not touched.
# Who:      a training that exports or publishes now and then, and goes on: features of a pretrained encoder, attention
#           maps, perceptual losses.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.1.3 onnx==1.22.0 onnxscript==0.7.2
cat > "$folder/show.py" <<'PY'
import logging
import warnings

import torch

warnings.simplefilter("ignore")
logging.disable()


class Features(torch.nn.Module):
    """Reads what a hook keeps of a layer within, as networks with a pretrained encoder do."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 1, 1)
        self.kept = kept = {}
        self.encoder.register_forward_hook(lambda module, given, found: kept.update(encoder=found))

    def forward(self, image):
        self.encoder(image)
        return self.head(self.kept["encoder"])


def export(net, image):
    torch.export.export(net, (image,))


def export_strictly(net, image):
    torch.export.export(net, (image,), strict=True)


def export_to_onnx(net, image):
    torch.onnx.export(net, (image,), dynamo=True, verbose=False)


print("torch", torch.__version__)
torch.manual_seed(0)
image, other = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
seen = {}
for how in (export, export_strictly, export_to_onnx):
    net = Features().eval()
    with torch.no_grad():
        right, first = net(other), net(image)
        kept = net.kept
        how(net, image)
        now = net(other)
    net.zero_grad()
    net(other).sum().backward()
    seen[how.__name__] = (net.kept is kept, bool(torch.allclose(now, right)), net.encoder.weight.grad is not None)
    same, equal, learns = seen[how.__name__]
    print(f"after {how.__name__}: its own dictionary {same}, gives what it gave {equal}, its encoder learns {learns}")
    if not equal:
        print(f"  of another image it gives what it gave of the first: {torch.allclose(now, first)}")

changed, same = (False, False, False), (True, True, True)
assert seen == {"export": changed, "export_strictly": same, "export_to_onnx": changed}, seen
print("seen: an export leaves a module that computes with the features of an image before")
PY
"$folder/venv/bin/python" "$folder/show.py"
