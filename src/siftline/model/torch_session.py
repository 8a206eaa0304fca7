"""Sessions on TorchScript: the traced modules that OpenSearch's model zips hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siftline.errors import MissingExtraError, ModelError
from siftline.model.session import Execution, Port, check_feeds, check_outputs

#: What the modules take, in one dictionary.
INPUTS = ("input_ids", "attention_mask")

#: Keys of what they give → names of the same outputs in ONNX files.
_NAMES: Mapping[Any, str] = {"output": "weights"}


class TorchScriptSession:
    """A module from a dictionary of ids and mask, int64 `(N, L)`, to a dictionary of tensors.

    Runs on as many threads as torch is set to. `output`, the weights of a sparse encoder, is given
    as `weights`. MissingExtraError without torch, ModelError for another file or module.
    """

    def __init__(self, path: Path, execution: Execution) -> None:
        try:
            import torch
        except ImportError:
            raise MissingExtraError("running a TorchScript model", "train") from None
        self._path = path
        self._device = "cpu" if execution.gpu is None else f"cuda:{execution.gpu}"
        if execution.gpu is not None and not torch.cuda.is_available():
            raise ModelError(f"{path} asks for GPU {execution.gpu}, which torch does not see")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._module = torch.jit.load(str(path), map_location=self._device).eval()
        except RuntimeError as error:
            raise ModelError(f"{path} is not TorchScript, or it is damaged: {error}") from None
        self.runtime = "torchscript" if execution.gpu is None else "torchscript cuda"
        self.scaled_together = False
        self.inputs = tuple(Port(name, np.dtype(np.int64), ("batch", "length")) for name in INPUTS)
        self.outputs = tuple(
            Port(name, value.dtype, ("batch", *value.shape[1:]))
            for name, value in self._run(dict.fromkeys(INPUTS, np.ones((1, 1), np.int64))).items()
        )

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """See Session.run."""
        checked = check_feeds(feeds, self.inputs, self._path)
        names = check_outputs(outputs, self.outputs)
        values = self._run(checked)
        return {name: values[name] for name in names}

    def _run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        tensors = {name: torch.from_numpy(feeds[name]).to(self._device) for name in INPUTS}
        try:
            with torch.inference_mode():
                values: Any = self._module(tensors)
        except (RuntimeError, IndexError) as error:
            raise ModelError(f"{self._path} failed: {_last_line(error)}") from None
        if not isinstance(values, dict):
            raise ModelError(f"{self._path} gives no dictionary of outputs")
        return {_NAMES.get(name, name): v.cpu().numpy() for name, v in values.items()}


def _last_line(error: Exception) -> str:
    """A traceback inside TorchScript ends with what went wrong."""
    return str(error).strip().splitlines()[-1]
