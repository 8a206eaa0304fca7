"""Embedders from their components in services.xml.

Names, values and files are checked here, so that a broken package fails when it is opened; the
models themselves load on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from siftline.encode.colbert import ColbertEmbedder, ColbertOptions
from siftline.encode.dense import DenseEmbedder, DenseOptions
from siftline.encode.embedder import Embedder
from siftline.encode.idf import IdfTable, TokenFrequencies
from siftline.encode.lazy import Lazy
from siftline.encode.parameters import Parameters, nearest
from siftline.encode.ports import PortNames, read_ports
from siftline.encode.sparse import SparseEmbedder, SparseOptions
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.tokens import TokenEmbedder
from siftline.encode.transformer import SHARED_ROWS, Transformer
from siftline.errors import PackageError, Place
from siftline.model.session import Session, open_session
from siftline.schema.package import Component, ModelReference, Settings, SparseQuery

Resolve = Callable[[str, ModelReference], Path]
Frequencies = Callable[[], TokenFrequencies]

#: Logits of every position and vocabulary token take 30,522 floats for each input token.
LOGITS_BUDGET = 512

#: What changes how fast a model runs but not what it gives. Of these only `batching` is read;
#: `runtime` in siftline.toml replaces the others.
RUNTIME_HINTS = (
    "onnx-execution-mode", "onnx-interop-threads", "onnx-gpu-device", "batching",
    "batching/max-size", "batching/max-delay", "concurrency", "model-config-override",
)  # fmt: skip

#: A duration of `<batching max-delay>`; a bare number is milliseconds.
_DELAY = re.compile(r"\d+(\.\d+)?\s*(ms|s)?")

_FILE = Place(file="ext/siftline.toml")


def open_embedder(
    component: Component,
    resolve: Resolve,
    settings: Settings,
    frequencies: Frequencies | None = None,
) -> Embedder:
    """The embedder that a component describes.

    resolve: element name and reference → file. frequencies: gives the token document frequencies
    of the corpus, for sparse queries without a file. PackageError for unknown types, parameters
    and values, ModelError for a file that is not what the component needs.
    """
    if component.type not in _OPENERS:
        raise PackageError(
            f"component '{component.id}' has the type '{component.type}', which is not supported"
            f"{nearest(component.type, _OPENERS)}",
            component.place,
        )
    if component.id in settings.sparse_queries and component.type != "splade-embedder":
        raise PackageError(
            f"'{component.id}' has sparse query settings but is a {component.type}", _FILE
        )
    opening = _Opening(component, resolve, settings, frequencies)
    embedder = _OPENERS[component.type](opening)
    opening.finish()
    return embedder


class _Opening:
    """One component being opened: its files, parameters and Siftline's options for it."""

    def __init__(
        self,
        component: Component,
        resolve: Resolve,
        settings: Settings,
        frequencies: Frequencies | None,
    ) -> None:
        self.component = component
        self.settings = settings
        self.frequencies = frequencies
        self._resolve = resolve
        self._read: set[str] = set()
        owner = f"{component.type} '{component.id}'"
        self.parameters = Parameters(component.parameters, owner, component.place)
        self.options = Parameters(settings.embedder_options.get(component.id, {}), owner, _FILE)

    @property
    def id(self) -> str:
        return self.component.id

    def file(self, *elements: str) -> Path:
        """The file of the first of the elements that the component has."""
        models = self.component.models
        element = next((name for name in elements if name in models), elements[0])
        self._read.update(elements)
        if element not in models:
            raise PackageError(
                f"{self.component.type} '{self.id}' needs <{element}>", self.component.place
            )
        return self.resolved(element, models[element])

    def resolved(self, element: str, reference: ModelReference) -> Path:
        path = self._resolve(element, reference)
        if not path.exists():
            raise PackageError(
                f"{element} of '{self.id}' does not exist: '{path}'", self.component.place
            )
        return path

    def tokenizer(self) -> Lazy[Tokenizer]:
        path = self.file("tokenizer-model", "model")
        return Lazy(lambda: Tokenizer.open(path))

    def ports(self, output: str, alternative: str | None = None, types: bool = True) -> PortNames:
        parameters = self.parameters
        kinds = parameters.text("transformer-token-type-ids")
        named = "token_type_ids" if kinds is None and types else (kinds or "").strip() or None
        return PortNames(
            parameters.text("transformer-input-ids") or "input_ids",
            parameters.text("transformer-attention-mask") or "attention_mask",
            named,
            parameters.text("transformer-output") or output,
            alternative,
        )

    def transformer(self, names: PortNames, *, pad: int = 0) -> Transformer:
        """The model of `transformer-model`, its ports checked now where the file tells them."""
        path = self.file("transformer-model")
        output = names.output
        if path.suffix == ".onnx":
            output = names.check(*read_ports(path), self.component.place)
        self.parameters.allow(RUNTIME_HINTS)
        hint = self.parameters.integer("onnx-intraop-threads", None, low=-1024)
        runtime = self.settings.runtime
        threads = runtime.get("threads", hint if hint and hint > 0 else None)

        def session() -> Session:
            return open_session(
                path,
                runtime=runtime.get("name", "auto"),  # type: ignore[arg-type]
                threads=threads,  # type: ignore[arg-type]
                precision=runtime.get("precision"),  # type: ignore[arg-type]
            )

        default = LOGITS_BUDGET if output == "logits" else None
        budget = self.options.integer("token-budget", default, low=1)
        rows = self.shared_rows()
        return Transformer(session, names, pad=pad, token_budget=budget, shared_rows=rows)

    def shared_rows(self) -> int:
        """The most queries of one run: `<batching max-size>`.

        `max-delay` is the longest that a query may wait for others; it is kept, as none ever does.
        """
        delay = self.parameters.text("batching/max-delay")
        if delay is not None and not _DELAY.fullmatch(delay.strip()):
            raise self.parameters.wrong("batching/max-delay", "a duration like 10ms")
        return self.parameters.integer("batching/max-size", SHARED_ROWS, low=1)

    def rows(
        self, tokenizer: Callable[[], Tokenizer]
    ) -> Callable[[Sequence[str]], list[np.ndarray]]:
        """Texts to ids with special tokens, cut to max-tokens and what tokenizer.json presets."""
        most = self.parameters.integer("max-tokens", 512, low=1)
        use_preset = self.options.truth("tokenizer-truncation", True)

        def encode(texts: Sequence[str]) -> list[np.ndarray]:
            preset = tokenizer().preset_length if use_preset else None
            length = most if preset is None else min(most, preset)
            return tokenizer().ids(texts, max_length=length)

        return encode

    def finish(self) -> None:
        self.parameters.finish()
        self.options.finish()
        for element in self.component.models:
            if element not in self._read:
                raise PackageError(
                    f"{self.component.type} '{self.id}' does not take <{element}>"
                    f"{nearest(element, self._read)}",
                    self.component.place,
                )


def _open_dense(opening: _Opening) -> Embedder:
    parameters = opening.parameters
    options = DenseOptions(
        parameters.choice("pooling-strategy", ("mean", "cls", "none"), "mean"),  # type: ignore[arg-type]
        parameters.truth("normalize", False),
        parameters.text("prepend/query"),
        parameters.text("prepend/document"),
    )
    rows = opening.rows(opening.tokenizer())
    transformer = opening.transformer(opening.ports("last_hidden_state"))
    return DenseEmbedder(opening.id, "hugging-face-embedder", transformer, rows, options)


def _open_bert(opening: _Opening) -> Embedder:
    parameters = opening.parameters
    path = opening.file("tokenizer-vocab")
    tokenizer = Lazy(lambda: Tokenizer.wordpiece(path))
    most = parameters.integer("max-tokens", 384, low=2)
    start = parameters.integer("transformer-start-sequence-token", 101)
    end = parameters.integer("transformer-end-sequence-token", 102)

    def rows(texts: Sequence[str]) -> list[np.ndarray]:
        plain = tokenizer().ids(texts, special=False, max_length=most - 2)
        return [np.concatenate([[start], row, [end]]).astype(np.int64) for row in plain]

    options = DenseOptions(
        parameters.choice("pooling-strategy", ("mean", "cls"), "mean")  # type: ignore[arg-type]
    )
    transformer = opening.transformer(opening.ports("output_0"))
    return DenseEmbedder(opening.id, "bert-embedder", transformer, rows, options)


def _open_colbert(opening: _Opening) -> Embedder:
    parameters, chosen = opening.parameters, opening.options
    most = parameters.integer("max-tokens", 512, low=1)
    mask = chosen.choice(
        "mask-queries", ("unattended", "attended", "none", "True", "False"), "unattended"
    )
    mask = {"True": "unattended", "False": "none"}.get(mask, mask)
    options = ColbertOptions(
        max_query=parameters.integer("max-query-tokens", 32, low=3),
        max_document=parameters.integer("max-document-tokens", 512, low=3),
        query_marker=parameters.integer("query-token-id", 1),
        document_marker=parameters.integer("document-token-id", 2),
        start=parameters.integer("transformer-start-sequence-token", 101),
        end=parameters.integer("transformer-end-sequence-token", 102),
        mask=parameters.integer("transformer-mask-token", 103),
        mask_queries=mask,  # type: ignore[arg-type]
        markers=chosen.truth("markers", True),
        normalize=chosen.truth("normalize", False),
        filter_punctuation=chosen.truth("punctuation-filter", True),
    )
    for name, length in (("query", options.max_query), ("document", options.max_document)):
        if length > most:
            raise parameters.wrong(
                f"max-{name}-tokens", f"at most max-tokens, {most}", shown=length
            )
    pad = parameters.integer("transformer-pad-token", 0)
    # `last_hidden_state`: a body exported without its projection, such as the catalogue's.
    transformer = opening.transformer(opening.ports("contextual", "last_hidden_state"), pad=pad)
    return ColbertEmbedder(opening.id, transformer, opening.tokenizer(), options)


def _open_sparse(opening: _Opening) -> Embedder:
    parameters, chosen = opening.parameters, opening.options
    options = SparseOptions(
        parameters.number("term-score-threshold", 0.0),
        chosen.number("prune-ratio", 0.0, low=0.0),
        chosen.choice("activation", ("log1p", "log1p-log1p"), "log1p"),  # type: ignore[arg-type]
        chosen.truth("zero-specials", True),
    )
    tokenizer = opening.tokenizer()
    rows = opening.rows(tokenizer)
    # `weights`: an export that pools and activates inside the model.
    transformer = opening.transformer(opening.ports("logits", "weights"))
    return SparseEmbedder(opening.id, transformer, tokenizer, rows, options, _query_table(opening))


def _query_table(opening: _Opening) -> Callable[[], IdfTable] | None:
    query = opening.settings.sparse_queries.get(opening.id, SparseQuery())
    if query.mode == "encoder":
        return None
    if query.mode != "idf":
        raise PackageError(
            f"mode of sparse queries '{opening.id}' is '{query.mode}', expected encoder or idf",
            _FILE,
        )
    if query.idf != "corpus":
        path = opening.resolved("idf", ModelReference(path=query.idf))
        file = path / "idf.json" if path.is_dir() else path
        return Lazy(lambda: IdfTable.from_file(file, query.unknown))
    frequencies = opening.frequencies
    if frequencies is None:
        raise PackageError(
            f"sparse queries of '{opening.id}' take their weights from the corpus, but no field "
            "counts its tokens; name a sparse index of this embedder, or a table file",
            _FILE,
        )
    return lambda: IdfTable.from_frequencies(frequencies(), query.unknown)


def _open_tokens(opening: _Opening) -> Embedder:
    parameters = opening.parameters
    special = parameters.truth("special-tokens", False)
    length = parameters.integer("max-length", None, low=1)
    if not parameters.truth("truncation", True):
        length = None
    return TokenEmbedder(opening.id, opening.tokenizer(), special=special, max_length=length)


_OPENERS: dict[str, Callable[[_Opening], Embedder]] = {
    "hugging-face-embedder": _open_dense,
    "bert-embedder": _open_bert,
    "colbert-embedder": _open_colbert,
    "splade-embedder": _open_sparse,
    "hugging-face-tokenizer": _open_tokens,
}
