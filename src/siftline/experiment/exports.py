"""A model into one of the forms that others load: ONNX without torch, the others with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from siftline.errors import MissingExtraError, UsageError
from siftline.model.convert.export import HeadChoice, Step, export
from siftline.schema.nearest import nearest

Form = Literal["onnx", "sentence-transformers", "opensearch"]
FORMS: tuple[str, ...] = get_args(Form)


@dataclass(frozen=True, slots=True)
class Options:
    """optimize, quantize, dequantize, prune_ratio: of ONNX.

    max_length: tokens of a text, of the other forms. name, version: of an OpenSearch model; the
    name of the folder and 1.0.0 without.
    """

    optimize: bool = False
    quantize: str | None = None
    dequantize: bool = False
    prune_ratio: float | None = None
    max_length: int | None = None
    name: str | None = None
    version: str | None = None


def export_model(source: str, out: Path, form: str, options: Options) -> Sequence[Step]:
    """Write the model of that catalogue name or folder into `out`; how far each step is off.

    UsageError for an unknown form and for options of another one, MissingExtraError where torch is
    needed and missing; else the errors of the exports.
    """
    if form not in FORMS:
        raise UsageError(f"unknown format '{form}'{nearest(form, FORMS)}")
    pruned = options.prune_ratio is not None
    of_onnx = options.optimize or options.quantize or options.dequantize or pruned
    registered = options.name is not None or options.version is not None
    if form == "onnx":
        if options.max_length or registered:
            raise UsageError("--max-length, --name and --version are not for the format onnx")
        return export(
            source,
            out,
            optimize=options.optimize,
            quantize=options.quantize,
            dequantize=options.dequantize,
            head=HeadChoice(prune_ratio=options.prune_ratio),
        ).steps
    if of_onnx:
        raise UsageError(
            "--optimize, --quantize, --dequantize and --prune-ratio are for the format onnx, "
            f"not {form}"
        )
    try:
        from transformers.utils import logging

        from siftline.train.export.formats import export_as
        from siftline.train.export.opensearch import Registration
    except ImportError:
        raise MissingExtraError(f"the format {form}", "train") from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    registration = None
    if registered:
        registration = Registration(options.name or out.name, options.version or "1.0.0")
    chosen: Literal["sentence-transformers", "opensearch"]
    chosen = "opensearch" if form == "opensearch" else "sentence-transformers"
    return export_as(
        source, out, chosen, max_length=options.max_length, registration=registration
    ).steps
