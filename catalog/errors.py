"""Every error that modelstac raises on purpose.

::

    ModelStacError
    ├── NotFoundError           (LookupError)         no such item, collection, file or name; carries the nearest names
    ├── ItemExistsError         (FileExistsError)     the id is taken by other content
    ├── ConflictError           (RuntimeError)        somebody else changed it meanwhile, or it is still in use
    ├── InvalidItemError        (ValueError)          an item or its metadata break STAC, MLM or our own rules
    │   ├── AmbiguousError                            several models, or files of one, fit a request equally well
    │   └── MissingFileError                          a file that an item names was never sent to the server, or is gone
    ├── SchemaUnavailableError  (ConnectionError)     a JSON schema is neither known, cached nor reachable
    ├── InvalidQueryError       (ValueError)          a search that cannot be understood
    ├── CatalogError            (OSError)             the place named is no catalog, or cannot be one
    ├── StorageError            (OSError)             reading or writing failed: permission, full disk, lock
    │   └── UnavailableError                          the database is restarting, or busy: the same again may do
    ├── IntegrityError          (ValueError)          bytes are not the published ones
    ├── UnauthorizedError       (PermissionError)     a server does not let one in: no key, or an unknown one
    │   └── ForbiddenError                            a write with a key that may not write this
    ├── ChangedMeanwhileError   (RuntimeError)        somebody else changed the document since it was read
    ├── TooLargeError           (ValueError)          a request or file is larger than the server takes
    ├── UntrustedError          (PermissionError)     refused by the loader's trust policy
    ├── MissingPackageError     (ImportError)         an optional package is needed: says which extra
    ├── CannotRunError          (RuntimeError)        nothing that was asked for can run on this machine
    │   └── MachineError                              it lacks memory or an accelerator, which no environment brings
    ├── BackendError            (RuntimeError)        Keras already runs on another backend in this process
    ├── DownloadError           (ConnectionError)     a public file could not be had: no network, unknown there, cut off
    ├── DataError               (ValueError)          input frames or arrays that cannot be used
    ├── SpecError               (ValueError)          a model, training or export specification without sense
    ├── WorkerError             (RuntimeError)        the process that runs an isolated model died or does not answer
    ├── JobError                (RuntimeError)        some jobs of several failed; the others are done
    ├── TrainingError           (RuntimeError)        training could not go on (for example a loss that is not finite)
    └── ConversionError         (RuntimeError)        a conversion failed
        └── ParityError                               the converted model does not equal its source

A message is one line: what was asked, what was found, what to do next. ``exit_code`` is what the command line returns.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

Place = tuple[str | int, ...]
"""Where in what somebody wrote: names of fields, numbers of entries."""


class ModelStacError(Exception):
    """Root of all errors raised on purpose."""

    exit_code: ClassVar[int] = 2
    place: Place | None = ()
    """Where in what was said the mistake stands; None where the message tells its line already."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


@contextmanager
def at(*place: str | int) -> Iterator[None]:
    """Tell an error inside in which field of what was said it stands."""
    try:
        yield
    except ModelStacError as error:
        if error.place is not None:
            error.place = (*place, *error.place)
        raise


class NotFoundError(ModelStacError, LookupError):
    """No such item, collection, file or name."""

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str], *, where: str, hint: str = "") -> NotFoundError:
        """Build the error for an unknown name, with the nearest known ones."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            advice = "did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif known:
            advice = f"known: {', '.join(known[:5])}{', …' if len(known) > 5 else ''}"
        else:
            advice = "there are none yet"
        return cls(f"no {kind} {name!r} in {where}: {advice}{' ' + hint if hint else ''}")


class ItemExistsError(ModelStacError, FileExistsError):
    """The item id is taken by other content; published items are immutable."""


class ConflictError(ModelStacError, RuntimeError):
    """What was to be changed is not what the caller expected, or is still in use."""


class InvalidItemError(ModelStacError, ValueError):
    """An item or its metadata break STAC, MLM or our own rules."""


class AmbiguousError(InvalidItemError):
    """Several models, or files of one, fit a request equally well."""

    @classmethod
    def same_id(cls, item_id: str, collections: Iterable[str], *, where: str) -> AmbiguousError:
        """Say that items of several collections have one id, and how to name one of them."""
        names = sorted(collections)
        return cls(
            f"{len(names)} items in {where} are called {item_id!r}: name one by its collection, "
            f"{' or '.join(f'{name}/{item_id}' for name in names[:4])}{' or …' if len(names) > 4 else ''}"
        )


class MissingFileError(InvalidItemError):
    """A file that an item names was never sent to the server, or is gone: sent again, the same may do."""


class SchemaUnavailableError(ModelStacError, ConnectionError):
    """A JSON schema is neither known, cached nor reachable."""


class InvalidQueryError(ModelStacError, ValueError):
    """A search that cannot be understood."""


class CatalogError(ModelStacError, OSError):
    """The place named is no catalog, or cannot be one."""


class StorageError(ModelStacError, OSError):
    """Reading or writing failed: permission, full disk, lock."""

    retry_after: float | None = None
    """Seconds after which a server wants to be asked again, where it said so."""

    @classmethod
    def doing(cls, action: str, error: OSError, *, advice: str = "") -> StorageError:
        """Turn an operating system's error into one line that says what was tried and what to do."""
        reason = error.strerror or str(error)
        return cls(f"cannot {action}: {reason.lower()}{'; ' + advice if advice else ''}")


class UnavailableError(StorageError):
    """A server or its database cannot answer at the moment; the same again may do."""


class IntegrityError(ModelStacError, ValueError):
    """Bytes are not the published ones."""


class UnauthorizedError(ModelStacError, PermissionError):
    """A server does not let one in: without a key, token or password, or with one that is unknown or revoked."""


class ForbiddenError(UnauthorizedError):
    """A write with a key that may not write this."""


class ChangedMeanwhileError(ModelStacError, RuntimeError):
    """Somebody else changed the document since it was read."""


class TooLargeError(ModelStacError, ValueError):
    """A request or file is larger than the server takes."""


class UntrustedError(ModelStacError, PermissionError):
    """Refused by the loader's trust policy."""


class MissingPackageError(ModelStacError, ImportError):
    """An optional package is needed."""

    @classmethod
    def extra(cls, package: str, extra: str, purpose: str) -> MissingPackageError:
        """Build the error that names the extra to install."""
        return cls(f"{purpose} needs {package}, which is not installed: pip install 'modelstac[{extra}]'")


class CannotRunError(ModelStacError, RuntimeError):
    """Nothing that was asked for can run on this machine."""


class MachineError(CannotRunError):
    """The machine lacks memory or an accelerator that the model insists on."""


class BackendError(ModelStacError, RuntimeError):
    """Keras already runs on another backend in this process (it is fixed when keras is first imported)."""


class DownloadError(ModelStacError, ConnectionError):
    """A public file could not be had: no network, an address that does not know it, a connection that broke."""


class DataError(ModelStacError, ValueError):
    """Input frames or arrays that cannot be used."""


class SpecError(ModelStacError, ValueError):
    """A model, training or export specification without sense."""


class WorkerError(ModelStacError, RuntimeError):
    """The process that runs an isolated model died, or does not answer."""

    exit_code = 1


class JobError(ModelStacError, RuntimeError):
    """Some jobs of several failed; the others are done."""

    exit_code = 1


class TrainingError(ModelStacError, RuntimeError):
    """Training could not go on."""

    exit_code = 1


class ConversionError(ModelStacError, RuntimeError):
    """A conversion failed."""

    exit_code = 1


class ParityError(ConversionError):
    """The converted model does not equal its source within the tolerance."""
