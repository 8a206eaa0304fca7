"""Exported graphs equal the source model: transformers where installed, else the numpy twin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import (
    BERT_CONFIG,
    VOCABULARY,
    bert_encoder,
    feeds,
    write_bert,
    write_bert_onnx,
    write_safetensors,
)

from siftline.errors import ModelError, UsageError
from siftline.model.convert.architecture import read_config, read_encoder
from siftline.model.convert.export import HeadChoice, export
from siftline.model.convert.heads import Head, build
from siftline.model.convert.recipe import read_recipe
from siftline.model.convert.reference import evaluate
from siftline.model.convert.weights import read_weights
from siftline.model.session import open_session

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
}
DISTIL_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "dim": 16,
    "hidden_dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 40,
}


def save(folder: Path, architecture: str, **config: Any) -> Any:
    """A random transformers model saved to `folder`; torch's own weights, one seed."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    kind = architecture.split("For")[0].removesuffix("Model")
    settings = getattr(transformers, f"{kind}Config")(**config)
    model = getattr(transformers, architecture)(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "weight" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(str(folder), safe_serialization=True)
    return model


def torch_output(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    import torch

    names = ("input_ids", "attention_mask", "token_type_ids")
    tensors = {n: torch.from_numpy(inputs[n]) for n in names if n in inputs}
    with torch.no_grad():
        result = model(**tensors)
    values = result.logits if hasattr(result, "logits") else result.last_hidden_state
    return np.asarray(values.numpy())


def sparse_weights(logits: np.ndarray, mask: np.ndarray, logarithms: int = 1) -> np.ndarray:
    """The definition: log1p(relu(.)) of the largest logit at a real token."""
    weights = np.where(mask[:, :, None] > 0, logits, -np.inf).max(axis=1)
    weights = np.maximum(weights, 0)
    for _ in range(logarithms):
        weights = np.log1p(weights)
    return np.asarray(weights)


def run(folder: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = open_session(folder / "model.onnx")
    names = {port.name for port in session.inputs}
    (output,) = session.run({n: v for n, v in inputs.items() if n in names}).values()
    return output


ENCODERS = {
    "BertModel": SIZES,
    "RobertaModel": {**SIZES, "type_vocab_size": 1, "pad_token_id": 1},
    "XLMRobertaModel": {**SIZES, "type_vocab_size": 1, "pad_token_id": 1, "hidden_act": "gelu_new"},
    "DistilBertModel": DISTIL_SIZES,
}


@pytest.mark.parametrize("architecture", ENCODERS)
def test_dense_equals_transformers(tmp_path: Path, architecture: str) -> None:
    model = save(tmp_path / "in", architecture, **ENCODERS[architecture])
    report = export(tmp_path / "in", tmp_path / "out")
    inputs = feeds()
    if architecture != "BertModel":
        del inputs["token_type_ids"]
    if "oberta" in architecture:
        inputs["input_ids"] = np.where(inputs["attention_mask"] > 0, inputs["input_ids"], 1)
    expected, output = torch_output(model, inputs), run(tmp_path / "out", inputs)
    real = inputs["attention_mask"] > 0
    np.testing.assert_allclose(output[real], expected[real], atol=5e-5)
    assert report.task == "dense"
    assert report.steps[0].difference < 1e-4


MASKED = {
    "BertForMaskedLM": SIZES,
    "RobertaForMaskedLM": {**SIZES, "type_vocab_size": 1, "pad_token_id": 1},
    "DistilBertForMaskedLM": DISTIL_SIZES,
}


@pytest.mark.parametrize("architecture", MASKED)
@pytest.mark.parametrize("tile", [7, VOCABULARY, 2048])
def test_sparse_equals_transformers(tmp_path: Path, architecture: str, tile: int) -> None:
    model = save(tmp_path / "in", architecture, **MASKED[architecture])
    inputs = feeds()
    if architecture != "BertForMaskedLM":
        del inputs["token_type_ids"]
    if architecture == "RobertaForMaskedLM":
        inputs["input_ids"] = np.where(inputs["attention_mask"] > 0, inputs["input_ids"], 1)
    logits = torch_output(model, inputs)
    export(tmp_path / "in", tmp_path / "out", head=HeadChoice(tile=tile))
    expected = sparse_weights(logits, inputs["attention_mask"])
    output = run(tmp_path / "out", inputs)
    assert output.shape == (3, VOCABULARY)
    assert (output > 0).any()
    np.testing.assert_allclose(output, expected, atol=5e-5)


def test_small_weights_are_left_out(tmp_path: Path) -> None:
    model = save(tmp_path / "in", "BertForMaskedLM", **SIZES)
    export(tmp_path / "in", tmp_path / "out", head=HeadChoice(prune_ratio=0.4))
    whole = sparse_weights(torch_output(model, feeds()), feeds()["attention_mask"])
    kept = whole > 0.4 * whole.max(axis=1, keepdims=True)
    assert 0 < kept.sum() < (whole > 0).sum()
    output = run(tmp_path / "out", feeds())
    np.testing.assert_allclose(output, np.where(kept, whole, 0), atol=5e-5)
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["sparse_head"] == {"prune_ratio": 0.4}


def test_what_cannot_be_pruned(tmp_path: Path) -> None:
    save(tmp_path / "in", "BertForMaskedLM", **SIZES)
    with pytest.raises(UsageError, match="prune-ratio is from 0 to below 1, not 1"):
        export(tmp_path / "in", tmp_path / "out", head=HeadChoice(prune_ratio=1.0))
    logits = HeadChoice("sparse-logits", prune_ratio=0.1)
    with pytest.raises(UsageError, match="for sparse encoders, and this is made as"):
        export(tmp_path / "in", tmp_path / "out", head=logits)
    export(tmp_path / "in", tmp_path / "made")
    with pytest.raises(UsageError, match="is ONNX already: --prune-ratio is for weights"):
        export(tmp_path / "made", tmp_path / "out", head=HeadChoice(prune_ratio=0.1))
    assert not (tmp_path / "out").exists()


def test_plain_logits(tmp_path: Path) -> None:
    model = save(tmp_path / "in", "BertForMaskedLM", **SIZES)
    export(tmp_path / "in", tmp_path / "out", head=HeadChoice("sparse-logits"))
    output, expected = run(tmp_path / "out", feeds()), torch_output(model, feeds())
    real = feeds()["attention_mask"] > 0
    np.testing.assert_allclose(output[real], expected[real], atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("BertForSequenceClassification", {**SIZES, "num_labels": 1}),
        ("BertForSequenceClassification", {**SIZES, "num_labels": 3}),
        ("DistilBertForSequenceClassification", {**DISTIL_SIZES, "num_labels": 1}),
        (
            "XLMRobertaForSequenceClassification",
            {**SIZES, "type_vocab_size": 1, "pad_token_id": 1, "num_labels": 1},
        ),
    ],
)
def test_cross_encoder_equals_transformers(
    tmp_path: Path, architecture: str, config: dict[str, Any]
) -> None:
    model = save(tmp_path / "in", architecture, **config)
    inputs = feeds()
    if not architecture.startswith("Bert"):
        del inputs["token_type_ids"]
    inputs["input_ids"] = np.where(inputs["attention_mask"] > 0, inputs["input_ids"], 1)
    report = export(tmp_path / "in", tmp_path / "out")
    assert report.task == "cross-encoder"
    expected = torch_output(model, inputs)
    np.testing.assert_allclose(run(tmp_path / "out", inputs), expected, atol=5e-5)


def test_late_interaction(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "in")
    tensors = dict(read_weights(folder))
    projection = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
    write_safetensors(folder / "model.safetensors", {**tensors, "linear.weight": projection})
    report = export(folder, tmp_path / "out", head=HeadChoice("late-interaction"))
    output = run(tmp_path / "out", feeds())
    hidden = evaluate(bert_encoder(), Head("dense"), feeds())
    expected = hidden @ projection.T
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    real = feeds()["attention_mask"] > 0
    np.testing.assert_allclose(output[real], expected[real], atol=5e-5)
    assert [port.name for port in report.outputs] == ["contextual"]


@pytest.mark.parametrize("logarithms", [1, 2])
def test_sparse_head_by_definition(tmp_path: Path, logarithms: int) -> None:
    """Zeroed tokens, one and two logarithms, padding on either side."""
    import onnx

    encoder = bert_encoder()
    head = Head("sparse", logarithms, zeroed=(5, 11), tile=16)
    onnx.save_model(build(encoder, head), str(tmp_path / "model.onnx"))
    inputs = feeds()
    for one in (inputs, {name: value[:, ::-1].copy() for name, value in inputs.items()}):
        logits = evaluate(encoder, Head("sparse-logits"), one)
        expected = sparse_weights(logits, one["attention_mask"], logarithms)
        assert (expected[:, [5, 11]] > 0).any()
        expected[:, [5, 11]] = 0
        np.testing.assert_allclose(run(tmp_path, one), expected, atol=3e-5)


@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_pruned_weights_are_zero(tmp_path: Path, ratio: float) -> None:
    import onnx

    head = Head("sparse", 2, zeroed=(5,), prune_ratio=ratio)
    onnx.save_model(build(bert_encoder(), head), str(tmp_path / "model.onnx"))
    logits = evaluate(bert_encoder(), Head("sparse-logits"), feeds())
    every = sparse_weights(logits, feeds()["attention_mask"], 2)
    every[:, 5] = 0
    expected = np.where(every > ratio * every.max(1, keepdims=True), every, 0)
    assert 0 < (expected > 0).sum() < (every > 0).sum()
    np.testing.assert_allclose(run(tmp_path, feeds()), expected, atol=3e-5)
    np.testing.assert_allclose(evaluate(bert_encoder(), head, feeds()), expected, atol=3e-5)


def test_padding_never_wins(tmp_path: Path) -> None:
    import onnx

    onnx.save_model(build(bert_encoder(), Head("sparse")), str(tmp_path / "model.onnx"))
    inputs = feeds(1, 6)
    bare = run(tmp_path, inputs)
    padded = {name: np.pad(value, ((0, 0), (0, 20))) for name, value in inputs.items()}
    np.testing.assert_allclose(run(tmp_path, padded), bare, atol=3e-5)


def test_no_array_of_batch_times_length_times_vocabulary() -> None:
    model = build(bert_encoder(), Head("sparse", tile=16))
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model)
    for value in inferred.graph.value_info:
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        assert not (len(sizes) == 3 and sizes[-1] > 32), value.name


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return write_bert(tmp_path / "in")


def test_report_and_companions(bert: Path, tmp_path: Path) -> None:
    (bert / "vocab.txt").write_text("[PAD]\n")
    report = export(bert, tmp_path / "out", quantize="int8", optimize=True)
    assert [step.name for step in report.steps] == ["export sparse", "quantize int8", "optimize"]
    assert report.steps[0].compared_with == "numpy reference"
    assert report.steps[0].difference < 1e-4
    assert 0 < report.steps[1].difference < 1.5
    assert report.steps[1].similarity > 0.9
    assert report.model == tmp_path / "out" / "model.onnx"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.onnx", "config.json", "vocab.txt"}


def test_quantising_reaches_the_sparse_head(bert: Path, tmp_path: Path) -> None:
    import onnx

    export(bert, tmp_path / "out", quantize="int8", head=HeadChoice(tile=16))
    model = onnx.load(str(tmp_path / "out" / "model.onnx"))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("MatMulInteger") == 2 * 6 + 1 + 4
    assert kinds.count("MatMul") == 2 * 2


def test_onnx_to_onnx(tmp_path: Path) -> None:
    path = write_bert_onnx(tmp_path / "some.onnx")
    report = export(path, tmp_path / "int8", quantize="int8")
    back = export(tmp_path / "int8", tmp_path / "fp32", dequantize=True)
    assert [step.name for step in report.steps + back.steps] == ["quantize int8", "dequantize"]
    assert back.steps[0].bytes > report.steps[0].bytes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int4"}, "unknown quantisation 'int4'"),
        ({"quantize": "int8", "dequantize": True}, "exclude each other"),
        ({"head": HeadChoice("dens")}, "unknown task 'dens'"),
    ],
)
def test_wrong_options(bert: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export(bert, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_sources_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder or file"):
        export(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(UsageError, match="did you mean 'splade-tiny'"):
        export("splade-tine", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"neither safetensors weights nor model.onnx"):
        export(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dequantising_what_is_not_quantised(tmp_path: Path) -> None:
    path = write_bert_onnx(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="is not quantised"):
        export(path, tmp_path / "out", dequantize=True)
    assert not (tmp_path / "out").exists()


def test_an_unknown_activation(bert: Path, tmp_path: Path) -> None:
    (bert / "config.json").write_text(json.dumps({**BERT_CONFIG, "hidden_act": "mish"}))
    with pytest.raises(ModelError, match="the activation 'mish' is not supported"):
        export(bert, tmp_path / "out")


@pytest.mark.parametrize(
    "activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"]
)
def test_activations(tmp_path: Path, activation: str) -> None:
    model = save(tmp_path / "in", "BertModel", **{**SIZES, "hidden_act": activation})
    encoder = read_encoder(read_config(tmp_path / "in"), read_weights(tmp_path / "in"))
    export(tmp_path / "in", tmp_path / "out")
    expected, real = torch_output(model, feeds()), feeds()["attention_mask"] > 0
    for output in (run(tmp_path / "out", feeds()), evaluate(encoder, Head("dense"), feeds())):
        np.testing.assert_allclose(output[real], expected[real], atol=5e-5)


def modules(folder: Path, *kinds: tuple[str, str]) -> None:
    content = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(content))


def test_sentence_transformers_dense(bert: Path) -> None:
    modules(bert, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    assert read_recipe(bert).task == "dense"


def pooling(folder: Path, **config: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def test_sentence_transformers_sparse(bert: Path) -> None:
    modules(bert, ("MLMTransformer", ""), ("SpladePooling", "1_SpladePooling"))
    pooling(bert / "1_SpladePooling", pooling_strategy="max", activation_function="log1p_relu")
    assert (read_recipe(bert).task, read_recipe(bert).logarithms) == ("sparse", 2)
    pooling(bert / "1_SpladePooling", pooling_strategy="sum")
    with pytest.raises(ModelError, match="pooling_strategy 'sum'"):
        read_recipe(bert)


def test_what_a_trained_encoder_says_of_its_head(bert: Path) -> None:
    head = {"activation": "l0", "prune_ratio": 0.1}
    (bert / "config.json").write_text(json.dumps({**BERT_CONFIG, "sparse_head": head}))
    found = read_recipe(bert)
    assert (found.task, found.logarithms, found.prune_ratio) == ("sparse", 2, 0.1)
    assert found.zero_special_tokens
    (bert / "config.json").write_text(
        json.dumps({**BERT_CONFIG, "sparse_head": {"activation": "l3"}})
    )
    with pytest.raises(ModelError, match="'l3' is unknown .known: log1p, l0."):
        read_recipe(bert)


def test_router_leads_to_the_document_side(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "router"
    folder.mkdir()
    shutil.copytree(bert, folder / "document_0_MLMTransformer")
    pooling(folder / "document_1_SpladePooling", pooling_strategy="max")
    modules(folder, ("Router", ""))
    kinds = {
        "query_0_SparseStaticEmbedding": "x.SparseStaticEmbedding",
        "document_0_MLMTransformer": "x.MLMTransformer",
        "document_1_SpladePooling": "x.SpladePooling",
    }
    words = {f"word{number}": number for number in range(VOCABULARY)}
    static = folder / "query_0_SparseStaticEmbedding"
    static.mkdir()
    raw = {"model": {"type": "WordLevel", "vocab": words, "unk_token": "word0"}}
    (static / "tokenizer.json").write_text(json.dumps(raw))
    weight = np.arange(VOCABULARY, dtype=np.float32) / 4
    write_safetensors(static / "model.safetensors", {"weight": weight})
    structure = {
        "query": ["query_0_SparseStaticEmbedding"],
        "document": ["document_0_MLMTransformer", "document_1_SpladePooling"],
    }
    (folder / "router_config.json").write_text(json.dumps({"types": kinds, "structure": structure}))
    report = export(folder, tmp_path / "out")
    assert report.task == "sparse"
    table = json.loads((tmp_path / "out" / "idf.json").read_text())
    assert len(table) == VOCABULARY and (table["word0"], table["word7"]) == (0.0, 1.75)
    expected = evaluate(bert_encoder(), Head("sparse"), feeds())
    np.testing.assert_allclose(run(tmp_path / "out", feeds()), expected, atol=3e-5)


def test_late_interaction_module(bert: Path, tmp_path: Path) -> None:
    projection = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    modules(bert, ("Transformer", ""), ("Dense", "1_Dense"))
    pooling(bert / "1_Dense", activation_function="torch.nn.modules.linear.Identity")
    write_safetensors(bert / "1_Dense" / "model.safetensors", {"linear.weight": projection})
    report = export(bert, tmp_path / "out")
    assert report.outputs[0].shape[-1] == 4
    lengths = np.linalg.norm(run(tmp_path / "out", feeds()), axis=-1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_a_module_that_no_export_writes(bert: Path) -> None:
    modules(bert, ("Transformer", ""), ("LSTM", "1_LSTM"))
    with pytest.raises(ModelError, match="the module LSTM"):
        read_recipe(bert)


def test_sentence_transformers_writes_what_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    save(tmp_path / "in", "BertForMaskedLM", **SIZES)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(45))]
    (tmp_path / "in" / "vocab.txt").write_text("\n".join(words))
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    tokenizer.save_pretrained(str(tmp_path / "in"))
    encoder = library.SparseEncoder(str(tmp_path / "in"), device="cpu")
    encoder.save(str(tmp_path / "saved"))
    export(tmp_path / "saved", tmp_path / "out")
    texts = ["word1 word7 word3", "word9"]
    batch = tokenizer(texts, padding=True, return_tensors="np")
    inputs = {name: np.asarray(values, np.int64) for name, values in batch.items()}
    expected = encoder.encode(texts, convert_to_sparse_tensor=False).cpu().numpy()
    np.testing.assert_allclose(run(tmp_path / "out", inputs), expected, atol=5e-5)
