"""What may be loaded: the policy of the one who loads, never of the item that is loaded.

By default only formats that run no code of the publisher's are loaded. The one door to code is the entry point of a
safetensors item, which names a function that is *already installed* here; it must lie in a package that this policy
lists. Whoever trusts a publisher may name more, word by word (:meth:`TrustPolicy.trusting`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, SpecError, UntrustedError

ENTRY_POINT = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")
BUILDERS = "modelstac.training.architectures"
PICKLE, LAMBDA = "pickle", "lambda"
"""Words for code of the publisher's: unpickling, and the functions in Lambda layers of Keras."""
PICKLES = frozenset({"torch.save", "torch.jit.save", "pickle", "joblib", "tf.keras.Model.save_weights"})


@dataclass(frozen=True)
class TrustPolicy:
    """What the loader accepts.

    Parameters
    ----------
    entry_points
        Packages or modules whose functions an item may name as ``mlm:entrypoint``. The default is the package of our
        own architectures and not all of modelstac: a function that deletes a file is not a builder of models.
    operator_domains
        Domains of ONNX operators that may appear in a graph; others need code that is not the runtime's own.
    max_bytes
        Largest artifact that is read into memory.
    packages
        What an item may name for an isolated environment, beside the known runtimes: a package, or with
        ``name==version`` a version of a runtime that is too old to be safe.
    code
        Code of the publisher's that may run, in a process of its own: :data:`PICKLE`, :data:`LAMBDA`.
    custom_objects
        Packages or modules, installed here, whose classes and functions a Keras model may be made of.
    """

    entry_points: tuple[str, ...] = (BUILDERS,)
    operator_domains: frozenset[str] = frozenset({"", "ai.onnx", "ai.onnx.ml"})
    max_bytes: int = 16 << 30
    packages: tuple[str, ...] = ()
    code: frozenset[str] = frozenset()
    custom_objects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self) | {"operator_domains": sorted(self.operator_domains), "code": sorted(self.code)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TrustPolicy:
        """Read what :meth:`to_dict` gave."""
        sets = {name: frozenset(fields[name]) for name in ("operator_domains", "code")}
        tuples = {name: tuple(fields[name]) for name in ("entry_points", "packages", "custom_objects")}
        return cls(**fields | sets | tuples)

    def without_code(self) -> TrustPolicy:
        """Return a policy that lets no code of the publisher's run: the one for this process."""
        return replace(self, code=frozenset())

    def without(self, *words: str) -> TrustPolicy:
        """Return a policy that does not trust these, whatever it did before."""
        return replace(self, code=self.code.difference(words))

    def allowing(self, *packages: str) -> TrustPolicy:
        """Return a policy that also accepts entry points of these packages or modules."""
        return replace(self, entry_points=self.entry_points + packages)

    def allowing_packages(self, *packages: str) -> TrustPolicy:
        """Return a policy that also accepts these packages, or ``name==version``, in isolated environments."""
        return replace(self, packages=self.packages + packages)

    def trusting(self, *words: str) -> TrustPolicy:
        """Return a policy that also accepts what these words name; what is trusted is logged, every time.

        Parameters
        ----------
        words
            ``entrypoint:package.module``: functions of it may build architectures. ``operators:domain``: ONNX operators
            of that domain may appear in a graph. ``custom:package.module``: a Keras model may have layers of it.
            ``pickle``: the item that is loaded may be a pickle of PyTorch or TorchScript; ``lambda``: it may be a
            Keras model with Lambda layers. Either runs code of whoever published it, as you, in a process of its own.
            HDF5 files, other pickles, and graphs that read or write files are refused whatever is said.

        Raises
        ------
        SpecError
            If a word is none of these.
        """
        policy = self
        for word in words:
            kind, _, name = word.partition(":")
            if kind == "entrypoint" and name:
                policy = policy.allowing(name)
            elif kind == "operators" and name:
                policy = replace(policy, operator_domains=policy.operator_domains | {name})
            elif kind == "custom" and name:
                policy = replace(policy, custom_objects=(*policy.custom_objects, name))
            elif word in {PICKLE, LAMBDA}:
                policy = replace(policy, code=policy.code | {word})
            else:
                raise SpecError(
                    f"trust={word!r} is not understood: say 'entrypoint:PACKAGE', 'operators:DOMAIN', "
                    f"'custom:PACKAGE', {PICKLE!r} or {LAMBDA!r}"
                )
            logging.getLogger("modelstac").warning("trusting %s because the caller says so", word)
        return policy

    def builder(self, entry_point: str | None, *, item_id: str) -> Callable[..., Any]:
        """Import the function that an item names, if this policy allows it.

        Parameters
        ----------
        entry_point
            ``package.module:function``.
        item_id
            Whose entry point it is, for the messages.

        Raises
        ------
        InvalidItemError
            If there is none, it is malformed, or the module has no such function.
        UntrustedError
            If it lies outside the allowed packages, or the function comes from elsewhere than the module named (an
            import such as ``module:system`` must not widen the list).
        MissingPackageError
            If the module is allowed but not installed.
        """
        match = ENTRY_POINT.fullmatch(entry_point or "")
        if match is None:
            raise InvalidItemError(
                f"item {item_id!r} has the entry point {entry_point!r}; expected 'package.module:function'"
            )
        module_name, function_name = match["module"], match["function"]
        if not within(module_name, self.entry_points):
            raise UntrustedError(
                f"item {item_id!r} wants to run {entry_point!r}, which is not in the allow-list "
                f"({', '.join(self.entry_points)}); if you trust that code, load with trust='entrypoint:{module_name}'"
            )
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f"item {item_id!r} needs {entry_point!r}, and {error.name!r} is not installed: install what provides it"
            ) from error
        function = getattr(module, function_name, None)
        if not callable(function):
            raise InvalidItemError(f"item {item_id!r} names {entry_point!r}, but {module_name} has no such function")
        if function_name.startswith("_") or not inspect.isfunction(function) or function.__module__ != module_name:
            raise UntrustedError(
                f"item {item_id!r} names {entry_point!r}, which is no public function defined in {module_name}"
            )
        return function


def within(module: str, packages: Iterable[str]) -> bool:
    """Tell whether a module is one of these packages or modules, or lies in one."""
    return any(module == package or module.startswith(f"{package.rstrip('.')}.") for package in packages)


DEFAULT_POLICY = TrustPolicy()
