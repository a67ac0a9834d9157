"""Versions that are known not to go together, each with its source; any other difference is only noted.

The floors are those of the optional dependencies: what is older runs code that a model file holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstac.catalog.search.facts import in_range


@dataclass(frozen=True)
class Break:
    """Files of a format, written by one range of versions and read by another, and what happens then.

    Parameters
    ----------
    artifact_type
        Format of the file.
    package
        Package that reads it.
    installed, written
        Ranges of versions; None is any.
    reason
        What goes wrong, and what to do.
    source
        Where that is known from.
    """

    artifact_type: str
    package: str
    installed: str
    written: str | None
    reason: str
    source: str


KERAS, SAFETENSORS, EXPORTED = "tf.keras.Model.save", "safetensors.torch.save_file", "torch.export.save"
BREAKS = (
    Break(
        KERAS,
        "keras",
        "<3.13.2",
        None,
        "its safe mode lets a file run code or read other files: pip install 'keras>=3.13.2'",
        "CVE-2025-1550, CVE-2025-8747, CVE-2025-9906, CVE-2025-12060 and later; https://github.com/keras-team/keras/security/advisories",
    ),
    Break(
        KERAS,
        "keras",
        ">=3",
        "<3",
        "hard_sigmoid is another formula in Keras 3 (recurrent layers of Keras 2 use it by default), so the numbers "
        "would be wrong in silence: publish it anew from Keras 3",
        "https://keras.io/api/layers/activations/ (max(0, min(1, x / 6 + 0.5)); in Keras 2: 0.2 x + 0.5)",
    ),
    Break(
        SAFETENSORS,
        "torch",
        "<2.6",
        None,
        "it is older than what modelstac is safe with: pip install 'torch>=2.6'",
        "CVE-2025-32434, https://github.com/pytorch/pytorch/security/advisories/GHSA-53q9-r3pm-6pq6",
    ),
    Break(
        EXPORTED,
        "torch",
        "<2.6",
        None,
        "torch.load runs code even with weights_only: pip install 'torch>=2.6'",
        "CVE-2025-32434, https://github.com/pytorch/pytorch/security/advisories/GHSA-53q9-r3pm-6pq6",
    ),
)


def known_break(artifact_type: str, package: str, *, installed: str, written: str | None) -> Break | None:
    """Return the known break between the version that reads a file and the one that wrote it, None if there is none."""
    for found in BREAKS:
        if (
            found.artifact_type == artifact_type
            and found.package == package
            and in_range(installed, found.installed)
            and (found.written is None or (written is not None and in_range(written, found.written)))
        ):
            return found
    return None
