"""Weights to ONNX without torch: read, build, check against the numpy reference, write."""

from __future__ import annotations

import json
from pathlib import Path

from siftline.errors import ModelError, UsageError
from siftline.model.convert.architecture import Encoder, read_config, read_encoder
from siftline.model.convert.heads import OUTPUTS, TASKS, Head, Task, build
from siftline.model.convert.packed import read_packed
from siftline.model.convert.reference import evaluate
from siftline.model.convert.samples import largest_difference, sample_inputs
from siftline.model.convert.transformer import MASK
from siftline.model.convert.weights import read_weights

#: float32 sums in another order differ by less than this on every architecture tested.
TOLERANCE = 1e-3


def read_source(folder: Path) -> Encoder:
    """The encoder of a folder with `config.json` and safetensors, or with a 4-bit `.bin` file."""
    packed = sorted(folder.glob("*-q4.bin"))
    if packed:
        return read_packed(packed[0])
    return read_encoder(read_config(folder), read_weights(folder))


def make_onnx(
    folder: Path,
    out: Path,
    *,
    task: str,
    logarithms: int = 1,
    zero_special_tokens: bool = False,
) -> float:
    """Write `out` from the weights in `folder` and return the largest difference to the reference.

    zero_special_tokens: a sparse model never gives weight to the tokenizer's special tokens.
    Raises ModelError where the weights do not fit or the difference exceeds TOLERANCE.
    """
    zeroed = special_tokens(folder) if zero_special_tokens else ()
    encoder = read_source(folder)
    return write_checked(encoder, Head(known_task(task), logarithms, zeroed), folder, out)


def write_checked(encoder: Encoder, head: Head, folder: Path, out: Path) -> float:
    """Build, write and check one model; `folder` is where a tokenizer for samples may be."""
    import onnx

    onnx.save_model(build(encoder, head), str(out))
    difference = check_onnx(out, encoder, head, folder)
    if not difference <= TOLERANCE:
        out.unlink()
        raise ModelError(
            f"the ONNX file built from {folder} differs from its source by {difference:.3g}"
        )
    return difference


def check_onnx(path: Path, encoder: Encoder, head: Head, folder: Path) -> float:
    """The largest difference between an ONNX file and the numpy reference on sample texts."""
    from siftline.model.session import open_session

    session = open_session(path)
    feeds = sample_inputs(
        folder, session.inputs, encoder.shape.vocabulary, min(64, encoder.shape.max_length)
    )
    output = session.run(feeds)[OUTPUTS[head.task]]
    return largest_difference(output, evaluate(encoder, head, feeds), feeds[MASK])


def known_task(task: str) -> Task:
    """The task of that name; UsageError lists the known ones."""
    for known in TASKS:
        if known == task:
            return known  # type: ignore[return-value]
    raise UsageError(f"unknown task '{task}' (known: {', '.join(TASKS)})")


def special_tokens(folder: Path) -> tuple[int, ...]:
    """Ids of the special tokens of the folder's `tokenizer.json`."""
    path = folder / "tokenizer.json"
    try:
        added = json.loads(path.read_text("utf-8")).get("added_tokens", [])
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the special tokens of {path}: {error}") from None
    return tuple(token["id"] for token in added if token.get("special"))
