"""From an item to a runnable model: fetching, trust, runtimes.

Nothing here imports a machine learning framework but the modules of :mod:`modelstac.registry.runtimes`, and those are
imported only once the artifact's bytes are known to be the published ones.

Order, each importing only from those before it: telemetry · files · trust · inspecting · runtimes · running · facts ·
choosing, probing · describing, exchange · isolated · publishing, checking, loading · scenes, serving, testing.
"""

from typing import TYPE_CHECKING

from modelstac.catalog.later import BEFORE_PUBLISHING, later

if TYPE_CHECKING:
    from modelstac.registry.choosing.resolve import Resolution, resolve
    from modelstac.registry.loading import load
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Signature, TensorSignature
    from modelstac.registry.trust.policy import TrustPolicy

BEFORE_PUBLISHING.append("modelstac.registry.choosing.claims:check_publishable")

__all__ = ["Model", "Resolution", "Signature", "TensorSignature", "TrustPolicy", "load", "resolve"]

__getattr__ = later(
    __name__,
    {
        "Model": "modelstac.registry.running.model:Model",
        "Resolution": "modelstac.registry.choosing.resolve:Resolution",
        "Signature": "modelstac.registry.running.signature:Signature",
        "TensorSignature": "modelstac.registry.running.signature:TensorSignature",
        "TrustPolicy": "modelstac.registry.trust.policy:TrustPolicy",
        "load": "modelstac.registry.loading:load",
        "resolve": "modelstac.registry.choosing.resolve:resolve",
    },
)
