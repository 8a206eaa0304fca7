"""A request handler: `/models/embed?text=…` or `?input=[2,3]` answers with the embedding."""

from __future__ import annotations

import numpy as np
from encoding import embed, tokens_of

from siftline.errors import UsageError
from siftline.process import Handler, ModelsEvaluator, Request, Response, TensorType, as_tensor

INPUT = TensorType.parse("tensor<int8>(x[])")


class Embed(Handler):
    """Evaluates the transformer, with some work before and after."""

    def __init__(self, models: ModelsEvaluator) -> None:
        self._models = models

    def handle(self, request: Request) -> Response:
        """The embedding as a tensor in JSON; 400 where nothing can be embedded."""
        try:
            tokens = self._tokens(request)
        except UsageError as error:
            return Response.json({"error": str(error)}, 400)
        return Response.json(embed(self._models, tokens))

    def _tokens(self, request: Request) -> np.ndarray:
        if "input" in request.properties:
            return as_tensor(INPUT, request.properties["input"]).array
        if "text" in request.properties:
            return np.array(tokens_of(request.properties["text"]), np.int8)
        raise UsageError("say what to embed: text=some words, or input=[2,3]")
