"""What is trained: an encoder of documents and the query side that goes with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siftline.encode.idf import IdfTable
from siftline.errors import ModelError, UsageError
from siftline.train.sparse_encoder import IdfQueries, SparseEncoder

IDF_FILE = "idf.json"


class Student(nn.Module):
    """documents: encodes documents. queries: inference-free ones; None encodes them as documents.

    tokenizer: of transformers, for both.
    """

    def __init__(
        self, documents: SparseEncoder, queries: IdfQueries | None, tokenizer: Any
    ) -> None:
        super().__init__()
        self.documents = documents
        self.queries = queries
        self.tokenizer = tokenizer

    def forward(
        self,
        query: Mapping[str, Tensor],
        document: Mapping[str, Tensor],
        size: int,
        tokens: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Queries `(B, V)` and documents `(B, G, V)`; G = size of them lie together for a query.

        tokens `(C,)`: only the weights of these, `(B, C)` and `(B, G, C)`.
        """
        documents = self.documents(**document, tokens=tokens).unflatten(0, (-1, size))
        queries = self.documents if self.queries is None else self.queries
        return queries(**query, tokens=tokens), documents

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Compute activations again in the backward pass, for less memory."""
        model = self.documents.model
        name = "activation_checkpointing_enable"
        enable = getattr(model, name, None) or model.gradient_checkpointing_enable
        enable(**options)

    gradient_checkpointing_enable = activation_checkpointing_enable

    def save(self, folder: Path) -> None:
        """A transformers folder with the tokenizer and, for inference-free queries, `idf.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.documents.save(folder)
        self._save_tokenizer(folder)
        if self.queries is not None:
            weights = self.queries.weights.detach().tolist()
            tokens = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
            table = dict(zip(tokens, weights[: len(tokens)], strict=True))
            text = json.dumps(table, ensure_ascii=False)
            (folder / IDF_FILE).write_text(text, encoding="utf-8")

    def _save_tokenizer(self, folder: Path) -> None:
        """The tokenizer, without the lengths of the training.

        A call leaves its truncation and padding in the tokenizer, and a file with the length of
        the training would cut every text that the trained model ever reads.
        """
        raw = getattr(self.tokenizer, "backend_tokenizer", None)
        if raw is not None:
            raw.no_truncation()
            raw.no_padding()
        self.tokenizer.save_pretrained(str(folder))

    def load(self, folder: Path) -> None:
        """Take the weights of a folder that `save` wrote; ModelError if it holds another model.

        They are read as the backbone was: transformers writes the names of the file that it read,
        and old files name the weights of a norm otherwise than its layers do.
        """
        with self.documents.whole() as model:
            try:
                saved, found = type(model).from_pretrained(str(folder), output_loading_info=True)
            except (OSError, RuntimeError) as error:
                raise ModelError(f"'{folder}' holds another model: {error}") from error
            unknown = [*found["unexpected_keys"], *found["missing_keys"]]
            if unknown:
                raise ModelError(f"'{folder}' holds another model: see {min(unknown)}")
            model.load_state_dict(saved.state_dict())
            model.tie_weights()
        if self.queries is not None:
            table = IdfTable.from_file(folder / IDF_FILE)
            with torch.no_grad():
                self.queries.weights.copy_(idf_weights(table, self.tokenizer, len(self)))

    def document_weights(self) -> dict[str, Tensor]:
        """Copies of the document encoder's parameters by name, on the processor."""
        named = self.documents.named_parameters()
        return {name: parameter.detach().cpu().clone() for name, parameter in named}

    def interpolate(self, start: Mapping[str, Tensor], share: float) -> None:
        """Make the document encoder's parameters share·own + (1 − share)·start.

        start: as `document_weights` gave them. What a small corpus teaches stays, and less of what
        the backbone knew of other texts is lost (WiSE-FT, arXiv 2109.01903). The weights of query
        tokens stay as they were trained.
        """
        with torch.no_grad():
            for name, parameter in self.documents.named_parameters():
                parameter.lerp_(start[name].to(parameter.device), 1 - share)

    def __len__(self) -> int:
        return self.documents.vocabulary


def idf_weights(table: IdfTable, tokenizer: Any, size: int, *, least: float = 0.5) -> Tensor:
    """The table's weights `(size,)` by token id.

    UsageError where it has fewer than `least` of the tokenizer's tokens: it was made with another.
    """
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    known = sum(token in table.weights for token in tokens)
    if known < least * len(tokens):
        raise UsageError(
            f"the IDF table has {known} of the tokenizer's {len(tokens)} tokens: it was made with "
            "another tokenizer; make one with siftline idf build"
        )
    weights = torch.full((size,), table.unknown)
    weights[: len(tokens)] = torch.tensor([table.weights.get(t, table.unknown) for t in tokens])
    return weights


def open_student(
    folder: Path | str,
    *,
    idf: IdfTable | None,
    train_idf: bool = False,
    inference_free: bool = True,
    tokenizer: Path | str | None = None,
    dropout: float | None = None,
    **options: Any,
) -> Student:
    """The student that begins as the backbone in `folder`; options as for SparseEncoder.

    idf: weights of query tokens; None counts every token as 1. dropout: of every layer that has
    one, None as the folder says.
    """
    from transformers import AutoTokenizer

    encoder = SparseEncoder.open(folder, **options)
    if dropout is not None:
        for module in encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    words = AutoTokenizer.from_pretrained(str(tokenizer or folder))
    if len(words) > encoder.vocabulary:
        raise UsageError(
            f"the tokenizer '{tokenizer}' has {len(words)} tokens, the backbone's vocabulary only "
            f"{encoder.vocabulary}"
        )
    if not inference_free:
        return Student(encoder, None, words)
    if idf is None:
        weights = torch.ones(encoder.vocabulary)
    else:
        weights = idf_weights(idf, words, encoder.vocabulary)
    queries = IdfQueries(weights, words.all_special_ids, trained=train_idf)
    return Student(encoder, queries, words)
