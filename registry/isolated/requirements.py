"""What an environment for a model holds: the packages that an item may name, each by version and hash, and Python.

The text is that of pip's requirements with hashes, and of it only ``name==version --hash=sha256:…``: no options, no
URLs, no markers, no extras, no other packages than runtimes and what they need.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from modelstac.catalog.errors import InvalidItemError, UntrustedError

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

ASSET = "requirements"
MAX_BYTES = 2_000_000

RUNTIMES = frozenset(
    """
    ai-edge-litert h5py jax jaxlib keras numpy onnxruntime onnxruntime-gpu openvino safetensors tensorflow
    tensorflow-cpu torch
    """.split()  # noqa: SIM905 - a list of so many words, one a line, is no easier to read
)
"""What runs a model."""

# What those need, and what that needs: as their metadata said from TensorFlow 2.16 to 2.21, torch 2.6 to 2.13, Keras 3.
DEPENDENCIES = frozenset(
    """
    absl-py astunparse backports-strenum certifi charset-normalizer coloredlogs cuda-bindings cuda-pathfinder
    cuda-toolkit filelock flatbuffers fsspec gast google-pasta grpcio humanfriendly idna jinja2 libclang markdown
    markdown-it-py markupsafe mdurl ml-dtypes mpmath namex networkx openvino-telemetry opt-einsum optree
    packaging protobuf pygments requests rich scipy setuptools six sympy tensorboard tensorboard-data-server
    tensorflow-io-gcs-filesystem termcolor tqdm triton typing-extensions urllib3 werkzeug wheel wrapt
    """.split()  # noqa: SIM905 - a list of so many words, one a line, is no easier to read
)
# NVIDIA's packages of CUDA have the version of CUDA in their names.
NVIDIA = re.compile(
    r"nvidia-(cublas|cuda-(cupti|nvrtc|runtime)|cudnn|cufft|cufile|curand|cusolver|cusparse|cusparselt|nccl|nvjitlink"
    r"|nvshmem|nvtx)(-cu1[1-9])?"
)
FLOORS = MappingProxyType({"keras": "3.13.2", "torch": "2.6"})
"""The first versions whose loaders have no known holes."""

_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+_-]*", re.ASCII)
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[0-9][0-9A-Za-z.!+_-]*)"
    r"(?P<hashes>(\s+--hash=sha256:[0-9a-f]{64})*)",
    re.ASCII,
)
_PYTHON = re.compile(r"# python (?P<version>3\.[0-9]{1,2})(\.[0-9]+)?")
_PACKAGES_OF = {
    "keras": ("keras", "h5py", "numpy"),
    "torch": ("torch", "safetensors", "numpy"),
    "torch-export": ("torch", "numpy"),
    "onnx": ("onnxruntime", "numpy"),
    "saved-model": ("tensorflow", "numpy"),
    "litert": ("ai-edge-litert", "numpy"),
    "openvino": ("openvino", "numpy"),
}
_TENSORFLOW = frozenset({"tensorflow", "tensorflow-cpu"})
# The version of the framework that the item names is that of this package; others wrote the file and do not run it.
_VERSIONED = {"keras": "keras", "torch": "torch", "torch-export": "torch", "saved-model": "tensorflow"}


@dataclass(frozen=True, order=True)
class Pin:
    """One package: name as PyPI writes it, exact version (None: the newest), SHA-256 of its files.

    Raises
    ------
    InvalidItemError
        If the version is none; what an installer reads as a line more, or as an address, is not.
    """

    name: str
    version: str | None = None
    hashes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.version is not None and not _VERSION.fullmatch(self.version):
            raise InvalidItemError(
                f"{self.name} is wanted in {self.version!r:.80}, which is no version: ask its publisher"
            )

    def __str__(self) -> str:
        exact = self.name if self.version is None else f"{self.name}=={self.version}"
        return " \\\n    ".join((exact, *(f"--hash=sha256:{digest}" for digest in self.hashes)))


@dataclass(frozen=True)
class Requirements:
    """The packages of an environment.

    Parameters
    ----------
    python
        Version, such as ``3.11``.
    pins
        The packages.
    """

    python: str
    pins: tuple[Pin, ...]

    @property
    def locked(self) -> bool:
        """Whether every file is known by its hash."""
        return all(pin.hashes for pin in self.pins)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it on this kind of machine; environments are kept under it."""
        machine = f"{sys.platform} {platform.machine()}\n"
        return hashlib.sha256((machine + str(self)).encode()).hexdigest()

    def __str__(self) -> str:
        return "\n".join((f"# python {self.python}", *map(str, sorted(self.pins)))) + "\n"


def parse(text: str, *, source: str, trusted: Collection[str] = ()) -> Requirements:
    """Read the requirements of an item.

    Parameters
    ----------
    text
        Their text.
    source
        Where it is from, for errors.
    trusted
        Names of further packages that whoever loads allows.

    Raises
    ------
    UntrustedError
        If they say more than name, version and hash of known packages.
    InvalidItemError
        If they name a package twice, or no version of Python.
    """
    python: str | None = None
    pins: dict[str, Pin] = {}
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        line = line.strip()  # noqa: PLW2901 - the line is what is read
        if not line or line.startswith("#"):
            found = _PYTHON.fullmatch(line)
            python = found["version"] if found and python is None else python
            continue
        match = _PIN.fullmatch(line)
        if match is None:
            raise UntrustedError(
                f"{source} says {line[:80]!r}: only 'name==version --hash=sha256:…' is taken from an item, no options, "
                "URLs, markers or ranges"
            )
        hashes = tuple(re.findall("[0-9a-f]{64}", match["hashes"]))
        name = canonical(match["name"])
        if name in _TENSORFLOW and not hashes:  # as installed by whoever published it, perhaps on another machine
            name = here("tensorflow")
        pin = Pin(name, match["version"], hashes)
        _check(pin, source, trusted)
        if pin.name in pins:
            raise InvalidItemError(f"{source} names {pin.name!r} twice: publish the item anew")
        pins[pin.name] = pin
    if python is None or not pins:
        raise InvalidItemError(f"{source} names no packages, or no Python ('# python 3.11'): publish the item anew")
    if len({bool(pin.hashes) for pin in pins.values()}) > 1:
        bare = next(name for name, pin in pins.items() if not pin.hashes)
        raise UntrustedError(f"{source} has hashes, but none of {bare!r}: publish the item anew")
    return Requirements(python, tuple(sorted(pins.values())))


def derive(
    description: ModelDescription, *, item_id: str, versioned: bool = True, trusted: Collection[str] = ()
) -> Requirements:
    """Name what an item needs that has no requirements of its own: its framework in its version, the rest newest.

    Parameters
    ----------
    description
        Of the item.
    item_id
        For errors.
    versioned
        Whether the version that it names is one of the framework that its file is of.
    trusted
        Names of further packages that whoever loads allows.

    Raises
    ------
    UntrustedError
        If that version has known holes.
    InvalidItemError
        If it is none.
    """
    versions = {}
    if versioned and (name := _VERSIONED.get(description.format)):
        versions[name] = description.framework_version
    if description.backend is not None:
        versions[description.backend] = str(description.backend_version)
    source = f"item {item_id!r}"
    pins = []
    for name in packages_of(description.format, description.backend):
        version = versions.get(name, "").partition("+")[0]  # a local version such as 2.13.0+cpu is in no index
        if version and not _PIN.fullmatch(f"{name}=={version}"):
            raise InvalidItemError(f"{source} names {version!r} as the version of {name}: publish it anew")
        pins.append(Pin(here(name), version or None))
        _check(pins[-1], source, trusted)
    return Requirements(f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sorted(pins)))


def packages_of(form: str, backend: str | None) -> tuple[str, ...]:
    """Name the packages that run a format, TensorFlow as the plain one; none where the format is not known."""
    also = (backend or "tensorflow",) if form == "keras" else ()  # Keras' own choice where an item names none
    return (*_PACKAGES_OF.get(form, ()), *also)


def _check(pin: Pin, source: str, trusted: Collection[str]) -> None:
    """Refuse a package that is not known, or known to be unsafe in this version."""
    names = {canonical(other) for other in trusted if "==" not in other}
    if not (pin.name in RUNTIMES | DEPENDENCIES | names or NVIDIA.fullmatch(pin.name)):
        raise UntrustedError(
            f"{source} names the package {pin.name!r}, which is no known runtime nor needed by one; if you trust it, "
            f"load with policy=TrustPolicy().allowing_packages({pin.name!r})"
        )
    exact, floor = f"{pin.name}=={pin.version}", FLOORS.get(pin.name)
    if floor is None or pin.version is None or exact in trusted:
        return
    try:
        unsafe = Version(pin.version) < Version(floor)
    except InvalidVersion as error:
        raise InvalidItemError(f"{source} names {pin.version!r} as the version of {pin.name}") from error
    if unsafe:
        raise UntrustedError(
            f"{source} names {exact}, which has known holes (safe from {floor}): export the model anew, or, if you "
            f"trust it, load with policy=TrustPolicy().allowing_packages({exact!r})"
        )


def canonical(name: str) -> str:
    """Write the name of a package as PyPI does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def here(name: str) -> str:
    """Name a package as this machine has it: TensorFlow without CUDA is one of its own on one kind of machine."""
    plain = name == "tensorflow" and sys.platform == "linux" and platform.machine() == "x86_64"
    return "tensorflow-cpu" if plain else name
