"""A STAC catalog and model registry for Earth observation.

>>> import modelstac
>>> catalog = modelstac.open("catalog/")  # doctest: +SKIP
>>> catalog.search(framework="PyTorch", framework_version=">=2.7,<3")  # doctest: +SKIP
>>> model = modelstac.load("convlstm-knmi-1.0.0-onnx-from-torch", catalog=catalog)  # doctest: +SKIP
>>> forecast = model.predict(frames)  # doctest: +SKIP

Order, each importing only from those before it: catalog · registry · training · exporters · jobs, report · overview ·
demo · pipeline · matrix · cli · __main__, job.
"""

from modelstac.catalog import open_catalog as open  # noqa: A004 - modelstac.open reads best, as in gzip or rasterio
from modelstac.catalog.errors import ModelStacError
from modelstac.registry import Model, load, resolve

__all__ = ["Model", "ModelStacError", "__version__", "load", "open", "resolve"]

__version__ = "0.1.0"
