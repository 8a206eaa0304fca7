"""OpenSearch model zips, and the registration that ml-commons wants beside them.

NAME-VERSION-torch_script.zip   SPARSE_ENCODING: the traced encoder, tokenizer.json
NAME-tokenizer-VERSION.zip      SPARSE_TOKENIZE: idf.json, tokenizer.json; inference-free queries
ml-commons_model_config.json, ml-commons_tokenizer_config.json

The module takes a dictionary of `input_ids` and `attention_mask` and gives `{"output": float32
(N, V)}`: weights after activation, special tokens 0. Each configuration has the size and the sha256
of its zip, which ml-commons compares.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siftline.errors import ModelError, UsageError
from siftline.model.convert.sparse_module import sparse_module
from siftline.train.export.source import Source

MODEL_CONFIG = "ml-commons_model_config.json"
TOKENIZER_CONFIG = "ml-commons_tokenizer_config.json"
LICENSE = "LICENSE"

#: Zips of the same content have the same hash.
_TIME = (1980, 1, 1, 0, 0, 0)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NAME = re.compile(r"[\w.][\w.-]*")


@dataclass(frozen=True, slots=True)
class Registration:
    """What a model is registered as; name: also the beginning of its files' names."""

    name: str
    version: str = "1.0.0"
    description: str = ""

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise UsageError(f"a model's version is like 1.0.0, not '{self.version}'")
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"a model's name has letters, digits, '.', '_' and '-', unlike '{self.name}'"
            )


class _Encoder(nn.Module):
    """The dictionaries around the encoder."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        weights = self.body(inputs["input_ids"], inputs["attention_mask"])
        return {"output": weights}


def trace(source: Source) -> Any:
    """The source as a traced module for any number and length of texts; takes the head off it."""
    module = _Encoder(sparse_module(source.model, source.head)).eval().requires_grad_(False)
    # Two rows, one of them padded: what holds for equal lengths only must not become constant.
    sample = source.inputs(["a longer text that is traced", "short"])
    with _quietly(), torch.no_grad():
        return torch.jit.trace(module, (sample,), strict=False, check_trace=False)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of tracing, which is what the format wants."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def write_opensearch(source: Source, out: Path, registration: Registration) -> list[Path]:
    """Write the zips with their configurations into `out`; the zips, the encoder's first."""
    name, version = registration.name, registration.version
    tokenizer = _tokenizer(source)
    encoder = out / f"{name}-{version}-torch_script.zip"
    _write_zip(encoder, source, {f"{name}.pt": _script(source), "tokenizer.json": tokenizer})
    _write_config(out / MODEL_CONFIG, encoder, registration, "SPARSE_ENCODING")
    if source.idf is None:
        return [encoder]
    queries = out / f"{name}-tokenizer-{version}.zip"
    table = dict(zip(source.tokens, source.idf.tolist(), strict=False))
    text = json.dumps(table, ensure_ascii=False).encode()
    _write_zip(queries, source, {"idf.json": text, "tokenizer.json": tokenizer})
    of_queries = Registration(f"{name}-tokenizer", version, registration.description)
    _write_config(out / TOKENIZER_CONFIG, queries, of_queries, "SPARSE_TOKENIZE")
    return [encoder, queries]


def read_back(source: Source, zips: Sequence[Path], texts: Sequence[str]) -> np.ndarray:
    """Weights of documents `(N, V)` by the module in the encoder's zip, one text at a time."""
    with zipfile.ZipFile(zips[0]) as file, _quietly():
        (member,) = (name for name in file.namelist() if name.endswith(".pt"))
        module = torch.jit.load(io.BytesIO(file.read(member)))
    rows = []
    for text in texts:
        with torch.inference_mode():
            rows.append(module(source.inputs([text]))["output"].numpy())
    return np.concatenate(rows)


def _script(source: Source) -> bytes:
    """The traced module as a file, without the places in source code that tracing writes down.

    They are paths of this machine; nothing reads them but the text of an error inside the module.
    """
    traced, clean = io.BytesIO(), io.BytesIO()
    with _quietly():
        torch.jit.save(trace(source), traced)
    with zipfile.ZipFile(traced) as old, zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            if not name.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(name, _TIME), old.read(name))
    return clean.getvalue()


def _tokenizer(source: Source) -> bytes:
    """tokenizer.json with the truncation that ml-commons reads from it, and no padding."""
    from tokenizers import Tokenizer

    raw = Tokenizer.from_str(source.tokenizer.backend_tokenizer.to_str())
    raw.no_padding()
    raw.enable_truncation(source.max_length)
    text: str = raw.to_str(pretty=True)
    return text.encode()


def _write_zip(path: Path, source: Source, files: Mapping[str, bytes]) -> None:
    licence = source.folder / LICENSE
    more = {LICENSE: licence.read_bytes()} if licence.is_file() else {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, content in {**files, **more}.items():
            file.writestr(zipfile.ZipInfo(name, _TIME), content)


def _write_config(path: Path, archive: Path, registration: Registration, function: str) -> None:
    content = archive.read_bytes()
    values = {
        "name": registration.name,
        "version": registration.version,
        "description": registration.description or f"Learned sparse retrieval: {function.lower()}",
        "model_format": "TORCH_SCRIPT",
        "function_name": function,
        "model_content_size_in_bytes": len(content),
        "model_content_hash_value": hashlib.sha256(content).hexdigest(),
    }
    path.write_text(json.dumps(values, indent=2), encoding="utf-8")


def check_registration(folder: Path) -> None:
    """ModelError unless every configuration in the folder fits the zip it describes."""
    for config in (folder / MODEL_CONFIG, folder / TOKENIZER_CONFIG):
        if not config.is_file():
            continue
        wanted = json.loads(config.read_text("utf-8"))
        hashes = {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.zip")}
        if wanted["model_content_hash_value"] not in hashes:
            raise ModelError(f"no zip in {folder} has the content hash that {config.name} says")
