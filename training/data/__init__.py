"""Radar frames: readers, download, generator, preparation and windows.

Needs the extra ``data`` (h5py, xarray, pyproj).

Order, each importing only from those before it: cf, layouts, open_data, public, readers · preparation, synthetic ·
store · frames, windows, publish · augmentation, events.
"""

from modelstac.catalog.errors import MissingPackageError

try:
    from modelstac.training.data.frames import READERS, read_frames
    from modelstac.training.data.preparation import THESIS, Preparation, footprint
    from modelstac.training.data.readers.product import Frame, Grid, Reader
    from modelstac.training.data.windows import Windows, make_windows, require_no_gap, split_by_time
except ModuleNotFoundError as error:
    if error.name not in {"h5py", "pyproj", "xarray"}:
        raise
    raise MissingPackageError.extra(error.name, "data", "reading radar frames") from error

__all__ = [
    "READERS",
    "THESIS",
    "Frame",
    "Grid",
    "Preparation",
    "Reader",
    "Windows",
    "footprint",
    "make_windows",
    "read_frames",
    "require_no_gap",
    "split_by_time",
]
