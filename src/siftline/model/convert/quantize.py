"""Dynamic int8 quantisation and offline graph optimisation by ONNX Runtime."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from siftline.errors import ModelError
from siftline.model.convert.dequantize import dequantize, is_quantized, load_onnx
from siftline.model.onnx_session import runtime_errors

_ERRORS_ONLY = 4


def quantize_file(source: Path, target: Path) -> None:
    """Write `target`: int8 weights per column, activations quantised while running.

    Raises ModelError where the model is int8 already.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if is_quantized(load_onnx(source)):
        raise ModelError(f"{source} is quantised already")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # Folding constants first turns computed weights, the sparse head's tiles, into
        # initialisers, which are all that quantisation looks at.
        folded = Path(folder) / "folded.onnx"
        _write_optimized(source, folded, basic=True)
        logging.getLogger().addFilter(_without_advice)
        try:
            quantize_dynamic(
                str(folded), str(target), weight_type=QuantType.QInt8, per_channel=True
            )
        finally:
            logging.getLogger().removeFilter(_without_advice)


def dequantize_file(source: Path, target: Path) -> None:
    """Write `target`: `source` with float32 weights; ModelError where it is not quantised."""
    import onnx

    model = load_onnx(source)
    if not is_quantized(model):
        raise ModelError(f"{source} is not quantised")
    onnx.save_model(dequantize(model), str(target))


def optimize_file(source: Path, target: Path) -> None:
    """Write `target`: the graph with ONNX Runtime's own fused operators, for ONNX Runtime only.

    Leaves out what depends on this processor, so that the file can be moved.
    """
    _write_optimized(source, target, basic=False)


def _write_optimized(source: Path, target: Path, *, basic: bool) -> None:
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = (
        levels.ORT_ENABLE_BASIC if basic else levels.ORT_ENABLE_EXTENDED
    )
    options.optimized_model_filepath = str(target)
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except runtime_errors() as error:
        raise ModelError(f"{source} cannot be optimised: {error}") from None


def _without_advice(record: logging.LogRecord) -> bool:
    """Drop the advice to preprocess, which is done."""
    return "pre-processing" not in record.getMessage()
