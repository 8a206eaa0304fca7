"""The catalogue is whole, and its errors name the model."""

import re

import pytest

from siftline.errors import ModelError, UsageError
from siftline.model.catalogue import ModelEntry, load_catalogue, parse_catalogue
from siftline.model.convert.heads import OUTPUTS

ENTRIES = list(load_catalogue().values())

MINIMAL = """
[wheels.thing]
version = "1.0"
bytes = 10
[[models]]
name = "a"
role = "dense"
licence = "MIT"
dimensions = 4
max_length = 8
pooling = "cls"
output = "last_hidden_state"
[[models.sources]]
kind = "wheel"
format = "fp32"
files = [{ name = "x", wheel = "thing", path = "thing/x", sha256 = "00" }]
"""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_is_whole(entry: ModelEntry) -> None:
    assert entry.sources
    assert entry.dimensions > 0
    assert entry.max_length > 0
    assert entry.pooling in ("cls", "mean", "max", "none")
    for source in entry.sources:
        names = {file.name for file in source.files}
        assert "tokenizer.json" in names
        if entry.role != "query-weights":
            assert source.make in OUTPUTS or "model.onnx" in names
        if source.make:
            assert OUTPUTS[source.make] == entry.output
        if entry.query_weights:
            assert entry.query_weights in names
        for file in source.files:
            if source.kind == "wheel":
                assert file.wheel is not None
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")
                assert re.fullmatch(r"[\d.]+", file.wheel.version)


def test_the_models_that_must_be_there() -> None:
    catalogue = load_catalogue()
    for name in (
        "bge-small-en-v1.5",
        "all-MiniLM-L6-v2",
        "ms-marco-MiniLM-L-12-v2",
        "answerai-colbert-small-v1-body",
        "siftline-sparse-tiny",
        "splade-tiny",
        "multilingual-e5-small-4bit",
        "idf-bert-uncased",
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-mini",
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-distill",
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill",
        "opensearch-project/opensearch-neural-sparse-encoding-v2-distill",
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "intfloat/multilingual-e5-small",
        "answerdotai/answerai-colbert-small-v1",
        "colbert-ir/colbertv2.0",
    ):
        assert catalogue.entry(name)


def test_the_four_bit_model_says_so() -> None:
    assert "4-bit derived" in load_catalogue()["multilingual-e5-small-4bit"].note


def test_only_v3_has_two_logarithms() -> None:
    assert [entry.name for entry in ENTRIES if entry.logarithms == 2] == [
        "opensearch-neural-sparse-encoding-doc-v3-distill"
    ]


def test_names_in_any_case_and_by_alias() -> None:
    catalogue = load_catalogue()
    assert catalogue.entry("BAAI/BGE-small-en-v1.5") is catalogue["bge-small-en-v1.5"]


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model 'splade-tinny'; did you mean 'splade-tiny'"):
        load_catalogue().entry("splade-tinny")
    with pytest.raises(UsageError, match="siftline models list"):
        load_catalogue().entry("###")


def test_minimal_catalogue() -> None:
    entry = parse_catalogue(MINIMAL)["a"]
    assert str(entry.sources[0]) == "wheel thing==1.0"
    assert entry.sources[0].files[0].path == "thing/x"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('role = "dense"', 'role = "danse"', "model 'a': unknown role 'danse'"),
        (', sha256 = "00"', "", "'x' of a wheel needs its sha256"),
        ('wheel = "thing"', 'wheel = "think"', "model 'a': 'think'"),
        ('licence = "MIT"', "", "licence"),
        ('licence = "MIT"', 'license = "MIT"', "license"),
        ("dimensions = 4", "dimensions =", "catalogue"),
    ],
)
def test_malformed_catalogue(old: str, new: str, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        parse_catalogue(MINIMAL.replace(old, new))


def test_the_fingerprint_follows_the_files_only() -> None:
    first = parse_catalogue(MINIMAL)["a"].fingerprint
    assert parse_catalogue(MINIMAL.replace('"MIT"', '"BSD"'))["a"].fingerprint == first
    assert parse_catalogue(MINIMAL.replace('"00"', '"01"'))["a"].fingerprint != first
