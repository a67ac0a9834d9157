"""Arrays from files by the names of a model's inputs, and into files by the names of its outputs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, MissingPackageError, NotFoundError, StorageError

if TYPE_CHECKING:
    import numpy as np

    from modelstac.registry.running.signature import Signature

ARRAY, ARRAYS, NETCDF = ".npy", ".npz", ".nc"
TABLES = (".csv", ".parquet")
READS = (ARRAY, ARRAYS, NETCDF, *TABLES)


def read_inputs(given: Sequence[str]) -> Any:
    """Read what ``--input`` names: ``NAME=FILE`` for each input, or one ``FILE`` for the only input or for all.

    Returns
    -------
    Any
        What :meth:`modelstac.registry.running.model.Model.predict` takes: an array, arrays by name, or a dataset.

    Raises
    ------
    NotFoundError
        If there is no such file.
    DataError
        If a file holds no arrays, or a name is given twice.
    StorageError
        If it cannot be read.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, path = _named(text)
        if name is None and len(given) > 1:
            raise DataError(f"--input {text} has no name, and there are {len(given)}: say which is which, NAME=FILE")
        values = read(path)
        if name is None:
            return values
        if name in found:
            raise DataError(f"--input {name}= is given twice: give each input once")
        found[name] = _one(values, name, path)
    return found


def _named(text: str) -> tuple[str | None, Path]:
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return None, Path(text)
    return name.strip(), Path(path)


def _one(values: Any, name: str, path: Path) -> Any:
    """Take the array of a name, or the only one, from a file of several; bands of a dataset are put together later."""
    if not isinstance(values, dict):
        return values
    if name in values or len(values) == 1:
        return values.get(name, next(iter(values.values())))
    raise DataError(f"{path} has the arrays {', '.join(values)}, and none is {name!r}: name one of them so")


def read(path: Path) -> Any:
    """Read an array (.npy), arrays by name (.npz), a dataset with labels (.nc) or a table (.csv, .parquet).

    Raises
    ------
    NotFoundError, DataError, StorageError
        As :func:`read_inputs` does.
    """
    if path.suffix.lower() not in READS:
        raise DataError(f"cannot read {path}: name a file that ends in {' or '.join(READS)}")
    if path.suffix.lower() == NETCDF:
        return _reading(path, "NetCDF", "xarray's to_netcdf", _read_dataset)
    if path.suffix.lower() in TABLES:
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "CSV"
        return _reading(path, f"table in {kind}", f"pandas' to_{kind.lower()}", _read_table)
    writer = "numpy.save" if path.suffix.lower() == ARRAY else "numpy.savez"
    return _reading(path, f"{path.suffix} array of numbers", writer, _read_arrays)


def _reading(path: Path, what: str, writer: str, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise NotFoundError(f"no array {path}: check the path") from error
    except OSError as error:
        if error.errno is None or error.errno < 0:  # not the system's, but the reader's, of what the file holds
            raise DataError(f"{path} is no {what}: write it with {writer}") from error
        raise StorageError.doing(f"read {path}", error, advice="check who may read it") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no {what} ({reason}): write it with {writer}") from error


def _read_arrays(path: Path) -> Any:
    import numpy as np

    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    with found:
        return {name: found[name] for name in found.files}


def _read_dataset(path: Path) -> Any:
    from modelstac.registry.running.labels.systems import import_proj

    xarray = _xarray("reading")
    import_proj()
    with xarray.open_dataset(path, engine="netcdf4") as dataset:
        return dataset.load()


def _read_table(path: Path) -> Any:
    try:
        import pandas

        return pandas.read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "data", "reading tables") from error
    except ImportError as error:
        raise MissingPackageError.extra("pyarrow", "scenes", "reading Parquet") from error


def _xarray(doing: str) -> Any:
    try:
        import netCDF4  # noqa: F401 - xarray would name an engine, not the extra to install
        import xarray
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "data", f"{doing} NetCDF") from error
    return xarray


def check_output(output: Path, signature: Signature) -> None:
    """Refuse a file of one array for several outputs.

    Raises
    ------
    DataError
        If it is one.
    """
    names = [tensor.name for tensor in signature.outputs]
    if output.suffix == ARRAY and len(names) > 1:
        raise DataError(
            f"cannot write the outputs {', '.join(names)} to {output}: name a file that ends in .npz or .nc"
        )


def write_outputs(outputs: Any, output: Path, signature: Signature) -> dict[str, Any]:
    """Write what a model gave, in one step: an interrupted run leaves the file that was there before, or none.

    Parameters
    ----------
    outputs
        One array, or several by name; with labels or without.
    output
        ``.npy``, ``.npz`` with a key for each output, or ``.nc`` with a variable for each.
    signature
        Of the model: names the outputs, and their dimensions where they have no labels.

    Returns
    -------
    dict
        Shape and range of the output, or of each by name.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    import numpy as np

    from modelstac.cli.common.files import write_atomically

    named = outputs if isinstance(outputs, dict) else {signature.outputs[0].name: outputs}
    arrays = {name: np.asarray(values) for name, values in named.items()}
    if output.suffix == NETCDF:
        _write_dataset(named, output, signature)
    else:
        buffer = io.BytesIO()
        if output.suffix == ARRAY:
            np.save(buffer, next(iter(arrays.values())), allow_pickle=False)
        else:
            _write_archive(buffer, arrays)
        write_atomically(output, buffer.getvalue())
    found = {name: _summary(array) for name, array in arrays.items()}
    return found if isinstance(outputs, dict) else next(iter(found.values()))


def _write_archive(file: io.BytesIO, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write as numpy.savez_compressed does, which takes an output called ``file`` for an argument of its own."""
    import numpy as np

    npy: Any = np.lib.format
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def _write_dataset(named: Mapping[str, Any], output: Path, signature: Signature) -> None:
    """Write a variable for each output; dimensions and grids that differ between two of them get the output's name.

    An output that is called as an axis with coordinates is (``y``, as exporters do) gets another, so that these stay.
    """
    from modelstac.cli.common.files import replacing

    xarray = _xarray("writing")
    layouts = {tensor.name: tensor.dim_order for tensor in signature.outputs}
    labelled = {
        name: values if isinstance(values, xarray.DataArray) else xarray.DataArray(values, dims=layouts[name])
        for name, values in named.items()
    }
    axes: dict[str, list[Any]] = {}
    for array in labelled.values():
        for dim in array.dims:
            if not any(array[dim].equals(other) for other in axes.setdefault(dim, [])):
                axes[dim].append(array[dim])
    taken = {str(key) for array in labelled.values() for key in array.coords}
    variables = {}
    for name, array in labelled.items():
        own = {dim: f"{name}_{dim}" for dim in array.dims if len(axes[dim]) > 1}
        along = [key for key, coord in array.coords.items() if key not in own and own.keys() & set(coord.dims)]
        variables[f"{name}_output" if name in taken else name] = (
            _own_grid(array, name, labelled).drop_vars(along).rename(own)
        )
    try:
        with replacing(output) as temporary:
            xarray.Dataset(variables).to_netcdf(temporary, engine="netcdf4")
    except (TypeError, ValueError) as error:  # of its own kinds of numbers and names
        reason = " ".join(str(error).split())
        raise DataError(f"NetCDF cannot hold the outputs ({reason}): name a file that ends in {ARRAYS}") from error


def _own_grid(array: Any, name: str, others: Mapping[str, Any]) -> Any:
    """Give the grid mapping of an output a name of its own, where another output has another one of the same name."""
    for place in (array.attrs, array.encoding):
        mapping = place.get("grid_mapping")
        if mapping not in array.coords:
            continue
        here = [other[mapping].attrs for other in others.values() if mapping in other.coords]
        if any(attrs != array[mapping].attrs for attrs in here):
            encoding = array.encoding
            array = array.rename({mapping: f"{name}_{mapping}"})
            array.encoding = encoding
            (array.attrs if place is not encoding else array.encoding)["grid_mapping"] = f"{name}_{mapping}"
            return array
    return array


def _summary(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    if array.size == 0 or array.dtype.kind not in "fiub":
        return {"shape": list(array.shape)}
    return {
        "shape": list(array.shape),
        "minimum": float(array.min()),
        "mean": float(array.mean()),
        "maximum": float(array.max()),
    }
