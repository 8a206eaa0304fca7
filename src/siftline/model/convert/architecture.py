"""The encoders that can be written as ONNX without torch, under one set of weight names.

Hugging Face names the same parts differently in BERT, RoBERTa and DistilBERT. `read_encoder` gives
all of them one naming:

    word  position  type  norm.{weight,bias}                       embeddings
    {i}.{query,key,value,attended,widen,narrow}.{weight,bias}      layer i, weight (out, in)
    {i}.{attended_norm,norm}.{weight,bias}
    mlm.{dense,norm}.{weight,bias}  mlm.decoder  mlm.bias          masked-language head
    pooler.{weight,bias}  classifier.{weight,bias}                 classification head
    projection.weight  [projection.bias]                           late-interaction head
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from siftline.errors import ModelError


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Sizes and switches of one encoder.

    position_offset: None for positions 0, 1, …; else RoBERTa's rule, where position is the count
    of non-padding tokens so far plus this padding id. type_ids: whether the model takes
    `token_type_ids`. pooler_activation: between the two matrices of the classification head.
    """

    layers: int
    heads: int
    hidden: int
    vocabulary: int
    max_length: int
    epsilon: float
    activation: str
    type_ids: bool
    position_offset: int | None = None
    pooler_activation: str = "tanh"


@dataclass(frozen=True)
class Encoder:
    """An encoder's shape with its weights, named as this module's docstring says."""

    shape: EncoderShape
    weights: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.weights:
            raise ModelError(f"the model has no weight '{name}', which this conversion needs")
        return self.weights[name]


_BERT = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "type": "embeddings.token_type_embeddings.weight",
    "norm": "embeddings.LayerNorm",
    "query": "encoder.layer.{i}.attention.self.query",
    "key": "encoder.layer.{i}.attention.self.key",
    "value": "encoder.layer.{i}.attention.self.value",
    "attended": "encoder.layer.{i}.attention.output.dense",
    "attended_norm": "encoder.layer.{i}.attention.output.LayerNorm",
    "widen": "encoder.layer.{i}.intermediate.dense",
    "narrow": "encoder.layer.{i}.output.dense",
    "layer_norm": "encoder.layer.{i}.output.LayerNorm",
    "mlm.dense": "cls.predictions.transform.dense",
    "mlm.norm": "cls.predictions.transform.LayerNorm",
    "mlm.decoder": "cls.predictions.decoder.weight",
    "mlm.bias": "cls.predictions.bias cls.predictions.decoder.bias",
    "pooler": "pooler.dense",
    "classifier": "classifier",
}
_ROBERTA = _BERT | {
    "mlm.dense": "lm_head.dense",
    "mlm.norm": "lm_head.layer_norm",
    "mlm.decoder": "lm_head.decoder.weight",
    "mlm.bias": "lm_head.bias lm_head.decoder.bias",
    "pooler": "classifier.dense",
    "classifier": "classifier.out_proj",
}
_DISTILBERT = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "norm": "embeddings.LayerNorm",
    "query": "transformer.layer.{i}.attention.q_lin",
    "key": "transformer.layer.{i}.attention.k_lin",
    "value": "transformer.layer.{i}.attention.v_lin",
    "attended": "transformer.layer.{i}.attention.out_lin",
    "attended_norm": "transformer.layer.{i}.sa_layer_norm",
    "widen": "transformer.layer.{i}.ffn.lin1",
    "narrow": "transformer.layer.{i}.ffn.lin2",
    "layer_norm": "transformer.layer.{i}.output_layer_norm",
    "mlm.dense": "vocab_transform",
    "mlm.norm": "vocab_layer_norm",
    "mlm.decoder": "vocab_projector.weight",
    "mlm.bias": "vocab_projector.bias",
    "pooler": "pre_classifier",
    "classifier": "classifier",
}
_FAMILIES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
}
_PREFIXES = ("bert.", "roberta.", "distilbert.")
_LAYER_PARTS = ("query", "key", "value", "attended", "attended_norm", "widen", "narrow")
_HEAD_PARTS = ("mlm.dense", "mlm.norm", "pooler", "classifier")


def supported(config: Mapping[str, Any]) -> bool:
    """Whether a Hugging Face `config.json` names an encoder this module reads."""
    return (
        config.get("model_type") in _FAMILIES
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder; ModelError where it is missing or not JSON."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"there is no config.json in {folder}") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object")
    return config


def read_shape(config: Mapping[str, Any]) -> EncoderShape:
    """The encoder's sizes from a Hugging Face configuration."""
    family = str(config["model_type"])
    if family == "distilbert":
        return EncoderShape(
            layers=config["n_layers"],
            heads=config["n_heads"],
            hidden=config["dim"],
            vocabulary=config["vocab_size"],
            max_length=config["max_position_embeddings"],
            epsilon=1e-12,
            activation=config.get("activation", "gelu"),
            type_ids=False,
            pooler_activation="relu",
        )
    offset = None if family == "bert" else int(config.get("pad_token_id", 1))
    return EncoderShape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        vocabulary=config["vocab_size"],
        max_length=config["max_position_embeddings"] - (0 if offset is None else offset + 1),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=config.get("hidden_act", "gelu"),
        type_ids=config.get("type_vocab_size", 2) > 1,
        position_offset=offset,
    )


def read_encoder(config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Encoder:
    """The encoder of a Hugging Face configuration and its tensors.

    Raises ModelError for another architecture and for a tensor that is missing.
    """
    if not supported(config):
        known = ", ".join(_FAMILIES)
        raise ModelError(
            f"the architecture '{config.get('model_type')}' is not written without torch "
            f"(only {known} with absolute positions are)"
        )
    names, shape = _FAMILIES[str(config["model_type"])], read_shape(config)
    source = {_plain_name(name): tensor for name, tensor in tensors.items()}
    weights: dict[str, np.ndarray] = {}
    for part in ("word", "position", "type"):
        _take(weights, source, part, names.get(part), required=part in names)
    _take_pair(weights, source, "norm", names["norm"])
    for i in range(shape.layers):
        for part in _LAYER_PARTS:
            _take_pair(weights, source, f"{i}.{part}", names[part].format(i=i))
        _take_pair(weights, source, f"{i}.norm", names["layer_norm"].format(i=i))
    for part in _HEAD_PARTS:
        if f"{names[part]}.weight" in source:
            _take_pair(weights, source, part, names[part])
    _take(weights, source, "mlm.bias", names["mlm.bias"], required=False)
    _take(weights, source, "mlm.decoder", names["mlm.decoder"], required=False)
    _take(weights, source, "projection.weight", "linear.weight", required=False)
    _take(weights, source, "projection.bias", "linear.bias", required=False)
    return Encoder(shape, weights)


def _plain_name(name: str) -> str:
    """A tensor's name without the model's own prefix and with today's names for gamma and beta."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    if name.endswith(".gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith(".beta") else name


def _take(
    weights: dict[str, np.ndarray],
    source: Mapping[str, np.ndarray],
    part: str,
    names: str | None,
    *,
    required: bool = True,
) -> None:
    """Copy the first of the space-separated names that the source has."""
    for name in (names or "").split():
        if name in source:
            weights[part] = source[name]
            return
    if required:
        raise ModelError(f"the weights lack '{names}'")


def _take_pair(
    weights: dict[str, np.ndarray], source: Mapping[str, np.ndarray], part: str, name: str
) -> None:
    _take(weights, source, f"{part}.weight", f"{name}.weight")
    _take(weights, source, f"{part}.bias", f"{name}.bias")
