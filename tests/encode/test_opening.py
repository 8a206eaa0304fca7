import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from encode_fakes import CLS, IDS, MASK, SEP, SIZE, tokenizer_file, vocabulary
from onnx import TensorProto, helper, numpy_helper

from siftline.encode.embedder import Embedder, find_embedder
from siftline.encode.idf import TokenFrequencies
from siftline.encode.open import open_embedder
from siftline.encode.ports import read_ports
from siftline.errors import ModelError, PackageError, Place, UsageError
from siftline.model.session import open_session
from siftline.schema.package import Component, ModelReference, Settings, SparseQuery
from siftline.tensor.batch import SparseBatch
from siftline.tensor.types import TensorType

X2 = TensorType.parse("tensor<float>(x[2])")
DT = TensorType.parse("tensor<float>(dt{},x[2])")
TOKEN = TensorType.parse("tensor<float>(token{})")
PLACE = Place("services.xml", 7)


def table_model(folder: Path, output: str = "last_hidden_state", width: int = 2) -> Path:
    """Looks each id up in a table whose row t is `t, t + 1, …`; the mask goes unused."""
    table = (np.arange(SIZE)[:, None] + np.arange(width)).astype(np.float32)
    names = ["input_ids", "attention_mask"]
    shape = ["batch", "length"]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], [output])],
        "lookup",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [*shape, width])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table_model(tmp_path)
    tokenizer_file(tmp_path)
    (tmp_path / "idf.json").write_text(json.dumps({"hello": 3.0}))
    words = {i: word for word, i in vocabulary().items()}
    (tmp_path / "vocab.txt").write_text("\n".join(words[i] for i in range(SIZE)))
    return tmp_path


def component(
    kind: str, parameters: Mapping[str, str] | None = None, models: Mapping[str, str] | None = None
) -> Component:
    named = models or {"transformer-model": "model.onnx", "tokenizer-model": "tokenizer.json"}
    references = {name: ModelReference(path=path) for name, path in named.items()}
    return Component("e", kind, references, parameters or {}, PLACE)


def opened(
    folder: Path, one: Component, settings: Settings | None = None, **kwargs: Any
) -> Embedder:
    def resolve(element: str, reference: ModelReference) -> Path:
        return folder / str(reference.path)

    return open_embedder(one, resolve, settings or Settings(), **kwargs)


def options(**values: object) -> Settings:
    return Settings(embedder_options={"e": {k.replace("_", "-"): v for k, v in values.items()}})


def test_hugging_face_embedder(folder: Path) -> None:
    one = component(
        "hugging-face-embedder",
        {"pooling-strategy": "cls", "max-tokens": "4", "onnx-intraop-threads": "1"},
    )
    embedder = opened(folder, one)
    assert (embedder.id, embedder.type) == ("e", "hugging-face-embedder")
    assert embedder.query("hello", X2).array.tolist() == [CLS, CLS + 1]
    mean = opened(folder, component("hugging-face-embedder", {"max-tokens": "4"}))
    expected = np.mean([CLS, IDS["a"], IDS["b"], SEP])
    assert mean.query("a b hello", X2).array[0] == pytest.approx(expected)


def test_the_length_preset_in_the_tokenizer_counts(folder: Path) -> None:
    tokenizer_file(folder, length=3)
    embedder = opened(folder, component("hugging-face-embedder"))
    assert embedder.query("a b", X2).array[0] == pytest.approx(np.mean([CLS, IDS["a"], SEP]))
    free = opened(folder, component("hugging-face-embedder"), options(tokenizer_truncation=False))
    whole = np.mean([CLS, IDS["a"], IDS["b"], SEP])
    assert free.query("a b", X2).array[0] == pytest.approx(whole)


def test_bert_embedder(folder: Path) -> None:
    one = component(
        "bert-embedder",
        {"transformer-output": "last_hidden_state", "max-tokens": "4"},
        {"transformer-model": "model.onnx", "tokenizer-vocab": "vocab.txt"},
    )
    expected = np.mean([101, IDS["a"], IDS["b"], 102])
    assert opened(folder, one).query("A B hello", X2).array[0] == pytest.approx(expected)


def test_colbert_embedder(folder: Path) -> None:
    embedder = opened(folder, component("colbert-embedder", {"max-query-tokens": "6"}))
    row = embedder.query("hello", DT).cells[:, 0].tolist()
    assert row == [CLS, 1, IDS["hello"], SEP, MASK, MASK]
    for off in ("none", False):
        plain = opened(folder, component("colbert-embedder"), options(mask_queries=off))
        assert len(plain.query("hello", DT).labels) == 4


def test_splade_embedder(folder: Path) -> None:
    table_model(folder, "logits", SIZE)
    embedder = opened(folder, component("splade-embedder", {"term-score-threshold": "5.445"}))
    batch = embedder.documents(["hello"], TOKEN)
    assert isinstance(batch, SparseBatch)
    # the logits of hello, 110 + j for token j, are the largest; ln(1 + 110 + j) > 5.445 from 121 on
    assert batch.tokens.tolist() == list(range(121, SIZE))
    assert batch.weights[0] == pytest.approx(np.log(111 + 121))


def sparse_settings(query: SparseQuery) -> Settings:
    return Settings(sparse_queries={"e": query})


def test_sparse_queries_by_table(folder: Path) -> None:
    table_model(folder, "logits", SIZE)
    one = component("splade-embedder")
    filed = sparse_settings(SparseQuery("idf", idf="idf.json", unknown=0.5))
    tensor = opened(folder, one, filed).query("hello world", TOKEN)
    assert dict(zip(tensor.labels, tensor.cells.tolist(), strict=True)) == {
        ("hello",): 3.0, ("world",): 0.5,
    }  # fmt: skip
    counted = [TokenFrequencies(0)]
    embedder = opened(
        folder, one, sparse_settings(SparseQuery("idf")), frequencies=lambda: counted[0]
    )
    assert embedder.query("hello", TOKEN).cells.tolist() == [1.0]
    counted[0] = TokenFrequencies(3, {"hello": 1})
    assert embedder.query("hello", TOKEN).cells[0] == pytest.approx(np.log(4 / 1.5))
    with pytest.raises(PackageError, match="no field counts its tokens"):
        opened(folder, one, sparse_settings(SparseQuery("idf")))


def test_tokenizer_component(folder: Path) -> None:
    one = component(
        "hugging-face-tokenizer", {"special-tokens": "true"}, {"model": "tokenizer.json"}
    )
    assert opened(folder, one).query("a", X2).array.tolist() == [CLS, SEP]


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("hugging-face-embeder", {}, "did you mean 'hugging-face-embedder'"),
        ("hugging-face-embedder", {"max-token": "3"}, "no parameter 'max-token' .*'max-tokens'"),
        ("hugging-face-embedder", {"max-tokens": "x"}, "'x', expected a whole number"),
        ("hugging-face-embedder", {"max-tokens": "0"}, "'0', expected at least 1"),
        ("hugging-face-embedder", {"pooling-strategy": "means"}, "mean, cls, none.*mean 'mean'"),
        ("hugging-face-embedder", {"normalize": "yes"}, "expected true or false"),
        ("colbert-embedder", {"max-query-tokens": "600"}, "at most max-tokens, 512"),
        ("splade-embedder", {"term-score-threshold": "nan"}, "expected a number"),
    ],
)
def test_broken_components(
    folder: Path, kind: str, parameters: dict[str, str], message: str
) -> None:
    names = {"splade-embedder": "logits"}
    table_model(folder, names.get(kind, "last_hidden_state"), SIZE)
    with pytest.raises(PackageError, match=message) as caught:
        opened(folder, component(kind, parameters))
    assert str(caught.value).startswith("services.xml:7: ")


def test_broken_options(folder: Path) -> None:
    with pytest.raises(PackageError, match=r"siftline.toml.*did you mean 'mask-queries'"):
        opened(folder, component("colbert-embedder"), options(mask_query="none"))
    with pytest.raises(PackageError, match="sparse query settings but is a colbert-embedder"):
        opened(folder, component("colbert-embedder"), sparse_settings(SparseQuery()))


def test_files_are_checked_when_opened(folder: Path) -> None:
    kind = "hugging-face-embedder"
    with pytest.raises(PackageError, match="needs <transformer-model>"):
        opened(folder, component(kind, {}, {"tokenizer-model": "tokenizer.json"}))
    with pytest.raises(PackageError, match="does not take <modle>"):
        one = component(kind)
        opened(
            folder,
            component(kind, {}, {**{k: str(v.path) for k, v in one.models.items()}, "modle": "x"}),
        )
    with pytest.raises(PackageError, match="does not exist: .*none.onnx"):
        opened(
            folder,
            component(
                kind, {}, {"transformer-model": "none.onnx", "tokenizer-model": "tokenizer.json"}
            ),
        )
    with pytest.raises(ModelError, match="required output: 'x'. Model contains: last_hidden_state"):
        opened(folder, component(kind, {"transformer-output": "x"}))
    with pytest.raises(ModelError, match="services.xml:7.*required input: 'ids'"):
        opened(folder, component(kind, {"transformer-input-ids": "ids"}))


def test_damaged_models(folder: Path) -> None:
    path = folder / "model.onnx"
    whole = path.read_bytes()
    assert read_ports(path) == (["input_ids", "attention_mask"], ["last_hidden_state"])
    for damaged in (whole[: len(whole) // 2], b"", b"not a model at all", b"\x00" * 64):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="not an ONNX model or is damaged"):
            opened(folder, component("hugging-face-embedder"))


def test_models_load_once_for_all_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def counted(path: Path, **kwargs: Any) -> Any:
        loaded.append(str(path))
        return open_session(path, **kwargs)

    monkeypatch.setattr("siftline.encode.open.open_session", counted)
    embedder = opened(folder, component("hugging-face-embedder"))
    assert not loaded
    results: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: results.append(embedder.query("a", X2).array.tolist()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1 and len(results) == 8 and all(r == results[0] for r in results)


def test_finding_embedders(folder: Path) -> None:
    one = opened(folder, component("hugging-face-embedder"))
    assert find_embedder({"e": one}, None) is one
    with pytest.raises(UsageError, match="no embedder id is given. Valid embedders are a,b"):
        find_embedder({"b": one, "a": one}, None)
    with pytest.raises(UsageError, match="Can't find embedder 'x'. Valid embedders are e"):
        find_embedder({"e": one}, "x")
    with pytest.raises(UsageError, match="No embedders"):
        find_embedder({}, "x")
