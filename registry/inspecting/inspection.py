"""What is looked at in every artifact after its digest and before its framework is imported, by artifact type."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.inspecting.archives import inspect_archive
from modelstac.registry.inspecting.budgets.trial import ONNX, OPENVINO, attempt
from modelstac.registry.inspecting.folders import read_members
from modelstac.registry.inspecting.onnx import inspect_graph
from modelstac.registry.inspecting.onnx_growth import grows
from modelstac.registry.inspecting.openvino import inspect_openvino
from modelstac.registry.inspecting.saved_model import GRAPH_MEMBER, MEMBERS, inspect_saved_model
from modelstac.registry.inspecting.weights import inspect_safetensors
from modelstac.registry.trust import policy as policies
from modelstac.registry.trust.policy import DEFAULT_POLICY, LAMBDA, TrustPolicy


def _keras(artifact: Artifact, policy: TrustPolicy) -> None:
    inspect_archive(
        artifact.data,
        artifact.path,
        max_bytes=policy.max_bytes,
        lambdas=LAMBDA in policy.code,
        packages=policy.custom_objects,
    )


def _torch(artifact: Artifact, policy: TrustPolicy) -> None:  # noqa: ARG001 - every inspector has this shape
    inspect_safetensors(artifact.data, artifact.path)


def _onnx(artifact: Artifact, policy: TrustPolicy) -> None:
    inspect_graph(artifact.data, artifact.path, domains=policy.operator_domains, beside=artifact.lengths)
    try:
        growth = grows(artifact.data)
    except (IndexError, ValueError) as error:
        raise InvalidItemError(f"{artifact.path} is no ONNX file that can be read: publish the model anew") from error
    if policy.operator_domains <= DEFAULT_POLICY.operator_domains:  # others may not be known to a plain runtime
        attempt(ONNX, artifact.data, artifact.path, growth, artifact.beside)


def _saved_model(artifact: Artifact, policy: TrustPolicy) -> None:
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=policy.max_bytes)
    if GRAPH_MEMBER not in members:
        raise InvalidItemError(f"{artifact.path} holds no {GRAPH_MEMBER}: export the model anew")
    inspect_saved_model(members[GRAPH_MEMBER], artifact.path)


def _openvino(artifact: Artifact, policy: TrustPolicy) -> None:
    growth = inspect_openvino(artifact.data, artifact.path, max_bytes=policy.max_bytes)
    attempt(OPENVINO, artifact.data, artifact.path, growth)


Inspector = Callable[[Artifact, TrustPolicy], None]
# A runtime whose format is not listed looks for itself.
INSPECTORS: MappingProxyType[str, Inspector] = MappingProxyType(
    {
        FORMATS["keras"].artifact_type: _keras,
        FORMATS["torch"].artifact_type: _torch,
        FORMATS["onnx"].artifact_type: _onnx,
        FORMATS["openvino"].artifact_type: _openvino,
        FORMATS["saved-model"].artifact_type: _saved_model,
    }
)

# What decides whether an artifact passes.
CODE = (*Path(__file__).parent.rglob("*.py"), Path(policies.__file__))


def inspect(artifact: Artifact, artifact_type: str, policy: TrustPolicy) -> None:
    """Refuse an artifact that wants more than its format should; what passed these rules before passes again.

    Raises
    ------
    UntrustedError
        If it would read, run or unfold what it does not hold.
    InvalidItemError
        If it is no file of that type.
    """
    inspector = INSPECTORS.get(artifact_type)
    if inspector is None:
        return
    # A stamp is of one file, and says nothing of those beside it.
    stamp, rules = None if artifact.beside else artifact.stamp, _rules(artifact_type, policy)
    if stamp is not None and rules in stamp.passed:
        return
    inspector(artifact, policy)
    if stamp is not None and rules is not None:
        stamp.remember(rules)


@cache
def _rules(artifact_type: str, policy: TrustPolicy) -> str | None:
    """Name what an artifact is held to: the very code that looks into it, and what the policy says."""
    try:
        code = [path.read_bytes() for path in sorted(CODE)]
    except OSError:  # installed without sources: then everything is looked into each time
        return None
    held = (artifact_type, policy.to_dict(), sys.version_info[:2], code)
    return hashlib.sha256(repr(held).encode()).hexdigest()
