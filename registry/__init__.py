"""From an item to a runnable model: fetching, trust, runtimes.

Nothing here imports a machine learning framework but the modules of :mod:`modelstac.registry.runtimes`, and those are
imported only once the artifact's bytes are known to be the published ones.

Order, each importing only from those before it: files · trust · inspecting · runtimes · choosing, running · probing ·
describing · isolated · load · testing.
"""

from modelstac.registry.choosing.resolve import Resolution, resolve
from modelstac.registry.load import load
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Signature, TensorSignature
from modelstac.registry.trust.policy import TrustPolicy

__all__ = ["Model", "Resolution", "Signature", "TensorSignature", "TrustPolicy", "load", "resolve"]
