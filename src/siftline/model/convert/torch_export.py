"""Architectures that the graph writer does not know, through torch and transformers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from siftline.errors import MissingExtraError, ModelError
from siftline.model.convert.graph import OPSET
from siftline.model.convert.heads import OUTPUTS, Head
from siftline.model.convert.samples import largest_difference, sample_inputs
from siftline.model.convert.sparse_module import sparse_module
from siftline.model.convert.transformer import IDS, MASK
from siftline.model.session import Port, open_session

_CLASSES = {
    "dense": "AutoModel",
    "sparse": "AutoModelForMaskedLM",
    "sparse-logits": "AutoModelForMaskedLM",
    "cross-encoder": "AutoModelForSequenceClassification",
}
_INPUTS = (IDS, MASK)


def export_with_torch(folder: Path, head: Head, out: Path) -> float:
    """Write `out` from a transformers folder; the largest difference to the torch model.

    The model takes ids and mask only. Raises MissingExtraError without torch and transformers,
    ModelError for a task this cannot write.
    """
    try:
        import torch
        import transformers
    except ImportError:
        raise MissingExtraError("exporting this architecture", "train") from None
    if head.task not in _CLASSES:
        raise ModelError(f"the task '{head.task}' cannot be exported for this architecture")
    loader = getattr(transformers, _CLASSES[head.task])
    model = loader.from_pretrained(str(folder), attn_implementation="eager").eval()
    ports = [Port(name, np.dtype(np.int64), (None, None)) for name in _INPUTS]
    feeds = sample_inputs(folder, ports, int(model.config.vocab_size))
    with torch.no_grad():
        expected = _expected(model, head, feeds)
        wrapper = _wrapper(model, head).eval()
        _write(wrapper, feeds, head, out)
    output = open_session(out).run(feeds)[OUTPUTS[head.task]]
    return largest_difference(output, expected, feeds[MASK])


def _expected(model: Any, head: Head, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the unchanged torch model gives, with the sparse head done the long way."""
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
    result = model(**tensors)
    if head.task == "dense":
        return np.asarray(result.last_hidden_state.numpy())
    if head.task != "sparse":
        return np.asarray(result.logits.numpy())
    logits = result.logits.masked_fill(tensors[MASK][:, :, None] == 0, -np.inf)
    weights = torch.relu(logits.amax(dim=1))
    weights[:, list(head.zeroed)] = 0.0
    for _ in range(head.logarithms):
        weights = torch.log1p(weights)
    if head.prune_ratio:
        weights[weights <= head.prune_ratio * weights.amax(dim=1, keepdim=True)] = 0.0
    return np.asarray(weights.numpy())


def _write(wrapper: Any, feeds: Mapping[str, np.ndarray], head: Head, out: Path) -> None:
    import torch

    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in feeds.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapper,
            (),
            str(out),
            kwargs=tensors,
            input_names=list(tensors),
            output_names=[OUTPUTS[head.task]],
            dynamic_shapes=dict.fromkeys(tensors, axes),
            opset_version=OPSET + 1,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _wrapper(model: Any, head: Head) -> Any:
    """A module from keyword ids and mask to the one output of the task."""
    import torch

    class Output(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body = body

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            result = self.body(input_ids=input_ids, attention_mask=attention_mask)
            return result.last_hidden_state if head.task == "dense" else result.logits

    return sparse_module(model, head) if head.task == "sparse" else Output(model)
