"""The operators of PyTorch that a program may call: each by its schema, and none that was not looked at."""

from __future__ import annotations

import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import torch
from tests.registry import hostile
from tests.registry.test_runtimes import write_torch_export

import modelstac
from modelstac.catalog.errors import UntrustedError
from modelstac.registry.inspecting.aten import OPERATORS, computes
from modelstac.registry.inspecting.folders import words
from modelstac.registry.inspecting.precision import precision_of

VALUES = re.compile(r"((Optional|List)\[)*(Tensor|int|bool|float|complex|number|Generator|Device)\]*")
# Each chooses among a few ways to compute, or is words of an assertion.
MODES = {
    *(
        "UPLO",
        "approximate",
        "assert_msg",
        "driver",
        "equation",
        "indexing",
        "interpolation",
        "mode",
        "norm",
        "ord",
        "p",
    ),
    *("pad_mode", "padding", "padding_side", "reduce", "rounding_mode", "side"),
}
REFUSED_KINDS = re.compile(
    r"backward|^_?(amp|cslt|cudnn|cufft|dyn_quant|fbgemm|foreach|fused_ad|miopen|mkldnn|mps|nested|nnpack|philox|q_"
    r"|quantized|sobol|sparse|test|to_sparse|triton|use|validate|wrapped)|^_(convert_indices|efficient|flash|make_dual)"
    r"|^_.*_copy$"
)
REFUSED = words(
    """_add_batch_dim _autocast_to_full_precision _autocast_to_reduced_precision _batch_norm_with_update
    _cholesky_solve_helper _choose_qparams_per_tensor _coalesce _coalesced _compute_linear_combination _copy_from
    _copy_from_and_resize _ctc_loss _cummax_helper _cummin_helper _debug_has_internal_overlap _dimI _dimV
    _dirichlet_grad _empty_affine_quantized _empty_per_channel_affine_quantized
    _fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_tensor_affine
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fill_mem_eff_dropout_mask_ _foobar _fused_dropout
    _fused_moving_avg_obs_fq_helper _fused_moving_avg_obs_fq_helper_functional _fused_sgd _fw_primal
    _grid_sampler_2d_cpu_fallback _has_compatible_shallow_copy_type _has_same_storage_numel _histogramdd_bin_edges
    _histogramdd_from_bin_cts _histogramdd_from_bin_tensors _indices _is_zerotensor _jagged_to_padded_dense_forward
    _efficientzerotensor _lazy_clone _linalg_check_errors _linalg_eigvals _lstm_mps _make_dep_token
    _make_per_channel_quantized_tensor _make_per_tensor_quantized_tensor _masked_scale _mixed_dtypes_linear
    _new_zeros_with_same_feature_meta _nnz _padded_dense_to_jagged_forward _pin_memory _print _propagate_xla_data
    _remove_batch_dim _resize_output _rowwise_prune _sample_dirichlet _saturate_weight_to_fp16
    _scaled_dot_product_attention_math_for_mps _scaled_dot_product_cudnn_attention
    _scaled_dot_product_fused_attention_overrideable _scaled_grouped_mm _scaled_grouped_mm_v2 _scaled_mm_v2 _spdiags
    _spsolve _standard_gamma_grad _thnn_fused_gru_cell _thnn_fused_lstm_cell _to_cpu _to_dense _unpack_dual _values
    _version _weight_int4pack_mm_with_scales_and_zeros batch_norm_elemt batch_norm_gather_stats
    batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats ccol_indices ccol_indices_copy
    choose_qparams_optimized coalesce col_indices col_indices_copy convolution_overrideable copy_sparse_to_sparse
    crow_indices crow_indices_copy data dense_dim embedding_renorm empty_quantized flatten_dense_tensors from_file
    fused_moving_avg_obs_fake_quant get_device get_gradients hspmm indices indices_copy is_coalesced is_distributed
    is_inference is_leaf is_pinned is_set_to is_vulkan_available output_nr pin_memory qscheme
    quantize_per_tensor_dynamic record_stream requires_grad_ resize resize_as resize_as_sparse retain_grad
    retains_grad row_indices row_indices_copy set set_data smm sspaddmm to_mkldnn to_padded_tensor
    unflatten_dense_tensors values values_copy"""
)


@pytest.fixture(scope="module")
def schemas() -> dict[str, list[Any]]:
    """Schemas of the operators that PyTorch dispatches, by name without its overload."""
    names = {name[6:].split(".")[0] for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")}
    found = defaultdict(list)
    for schema in torch._C._jit_get_all_schemas():
        if (name := schema.name.removeprefix("aten::")) in names and schema.name.startswith("aten::"):
            found[name].append(schema)
    return dict(found)


def test_every_operator_of_this_pytorch_was_looked_at(schemas: dict[str, list[Any]]) -> None:
    unknown = [
        name
        for name in sorted(schemas)
        if not computes(name)
        and not REFUSED_KINDS.search(name)
        and name not in REFUSED
        and name.removesuffix("_") not in REFUSED
    ]
    assert unknown == [], "read their schemas, then list them in registry/inspecting/aten.py or here"


def test_what_may_be_called_takes_and_gives_tensors_and_numbers(schemas: dict[str, list[Any]]) -> None:
    def plain(schema: Any) -> bool:
        return all(VALUES.fullmatch(str(argument.type)) or argument.name in MODES for argument in schema.arguments)

    assert sorted(name for name in OPERATORS if not any(map(plain, schemas.get(name, [])))) == []
    texts = {
        argument.name
        for name in OPERATORS
        for schema in schemas[name]
        for argument in schema.arguments
        if "str" in str(argument.type)
    }
    # What ATen has for strings themselves, as TorchScript needs them.
    assert texts - MODES <= {"a", "b", "self", "substr", "el", "string", "separator"}


def program(folder: Path, change: Callable[[dict[str, Any]], None], source: Path | None = None) -> Path:
    """Write a program whose file was changed by hand."""
    source = source or write_torch_export(folder)
    target = folder / "changed.pt2"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename.endswith("models/model.json"):
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
            new.writestr(member, content)
    return target


@pytest.mark.parametrize("operator", ["from_file.default", "set_.source_Tensor", "save.default", "resize_.default"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_operator_that_does_more_than_compute_is_refused_before_pytorch_reads_it(
    operator: str, tmp_path: Path, make_item: Callable[..., pystac.Item]
) -> None:
    canary = hostile.canary(tmp_path)

    def change(document: dict[str, Any]) -> None:
        node = document["graph_module"]["graph"]["nodes"][0]
        node["target"] = f"torch.ops.aten.{operator}"
        node["inputs"] = [{"name": "filename", "arg": {"as_string": str(canary)}, "kind": 1}]

    item = make_item(program(tmp_path, change), "torch-export")
    with pytest.raises(UntrustedError, match=rf"calls 'torch\.ops\.aten\.{operator}'.*no more than compute") as raised:
        modelstac.load(item)
    assert "\n" not in str(raised.value)
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_the_same_file_unchanged_loads(
    tmp_path: Path, make_item: Callable[..., pystac.Item], frames: np.ndarray
) -> None:
    item = make_item(program(tmp_path, lambda _: None), "torch-export")
    np.testing.assert_allclose(modelstac.load(item).predict(frames), 3 * frames, rtol=1e-6)


class Mixed(torch.nn.Module):
    """Sets modes of PyTorch around parts of what it computes, as PyTorch's own recipes for mixed precision do."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            frames = 3 * frames.float()
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16):
            return frames + (frames.mean((3, 4), keepdim=True) @ torch.zeros(1, 1)).float()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_modes_around_parts_of_a_program_are_looked_into(
    tmp_path: Path, make_item: Callable[..., pystac.Item], frames: np.ndarray
) -> None:
    mixed = tmp_path / "model.pt2"
    with torch.no_grad():
        given = (torch.from_numpy(frames),)
        torch.export.save(torch.export.export(Mixed(), given, dynamic_shapes=({0: torch.export.Dim.AUTO},)), mixed)
    item = make_item(mixed, "torch-export")
    np.testing.assert_allclose(modelstac.load(item).predict(frames), 3 * frames, rtol=1e-6)
    assert precision_of(mixed.read_bytes(), "torch.export.save") == "bf16"

    def change(document: dict[str, Any]) -> None:
        inside = json.dumps(document).replace("torch.ops.aten.mul.Tensor", "torch.ops.aten.from_file.default")
        document.clear()
        document.update(json.loads(inside))

    with pytest.raises(UntrustedError, match=r"calls 'torch\.ops\.aten\.from_file\.default'"):
        modelstac.load(make_item(program(tmp_path, change, source=mixed), "torch-export"))
