"""Document processors: a function that makes tokens, a class that makes an embedding of them."""

from __future__ import annotations

from encoding import TOKENS, embed, tokens_of

from siftline.process import DocumentProcessor, ModelsEvaluator, Operation, as_tensor


def tokenize(operation: Operation) -> Operation:
    """Tokens from the title, unless the document brings its own."""
    if operation.kind != "put" or "tokens" in operation.fields:
        return operation
    return operation.with_fields(tokens=tokens_of(operation.fields.get("title", "")))


class Embedding(DocumentProcessor):
    """Writes the field `embedding`: what the transformer makes of `tokens`."""

    def __init__(self, models: ModelsEvaluator) -> None:
        self._models = models

    def process(self, operation: Operation) -> Operation:
        """Only puts have all their tokens."""
        if operation.kind != "put":
            return operation
        tokens = as_tensor(TOKENS, operation.fields["tokens"])
        return operation.with_fields(embedding=embed(self._models, tokens.array))
