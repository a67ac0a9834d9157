"""A STAC catalog and model registry for Earth observation.

>>> import modelstac
>>> catalog = modelstac.open("catalog/")  # doctest: +SKIP
>>> catalog.search(framework="PyTorch", framework_version=">=2.7,<3")  # doctest: +SKIP
>>> model = modelstac.load("convlstm-knmi-1.0.0-onnx-from-torch", catalog=catalog)  # doctest: +SKIP
>>> forecast = model.predict(frames)  # doctest: +SKIP

Order, each importing only from those before it: catalog · registry · training · exporters · afresh, jobs,
pages, report · landcover, overview · demo · pipeline · matrix · cli · __main__, job.
"""

from typing import TYPE_CHECKING

from modelstac.catalog.later import later
from modelstac.registry.telemetry import opt_out

if TYPE_CHECKING:
    from modelstac.catalog import open_catalog as open  # noqa: A004 - modelstac.open reads best, as in gzip or rasterio
    from modelstac.catalog.errors import ModelStacError
    from modelstac.pipeline.functions import training_job
    from modelstac.registry import Model, load, resolve
    from modelstac.registry.publishing.call import publish
    from modelstac.registry.publishing.publisher import ModelstacPublisher
    from modelstac.registry.scenes.predicting import predict_scene

opt_out()  # nothing above imports a framework

__all__ = [
    "Model",
    "ModelStacError",
    "ModelstacPublisher",
    "__version__",
    "load",
    "open",
    "predict_scene",
    "publish",
    "resolve",
    "training_job",
]

__version__ = "0.1.0"

__getattr__ = later(
    __name__,
    {
        "Model": "modelstac.registry:Model",
        "ModelStacError": "modelstac.catalog.errors:ModelStacError",
        "ModelstacPublisher": "modelstac.registry.publishing.publisher:ModelstacPublisher",
        "load": "modelstac.registry:load",
        "open": "modelstac.catalog:open_catalog",
        "predict_scene": "modelstac.registry.scenes.predicting:predict_scene",
        "publish": "modelstac.registry.publishing.call:publish",
        "resolve": "modelstac.registry:resolve",
        "training_job": "modelstac.pipeline.functions:training_job",
    },
)


def __dir__() -> list[str]:
    return __all__
