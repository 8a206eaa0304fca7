"""The seeds' own snippets, as files, loaded unchanged."""

import json
from pathlib import Path

import pytest

from siftline.errors import PackageError
from siftline.feed.operation import DocumentId
from siftline.schema.definition import FieldType
from siftline.schema.package import ModelReference
from siftline.schema.read import read_package
from siftline.schema.sd import parse_schema
from siftline.schema.services import parse_services
from siftline.tensor.types import TensorType

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests" / "golden" / "seeds"
DOCUMENTS = ROOT.parent / "shared" / "seeds"
SNIPPETS = sorted(p.name for p in SEEDS.iterdir() if p.name != "passage.sd")
ELISIONS = ("...", "..}")


def snippet(name: str) -> str:
    return (SEEDS / name).read_text(encoding="utf-8")


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_are_the_seeds_text(name: str) -> None:
    if not DOCUMENTS.is_dir():
        pytest.skip("the seeds' documents are not here (../shared/seeds)")
    text = "\n".join(p.read_text(encoding="utf-8") for p in sorted(DOCUMENTS.glob("*.txt")))
    assert snippet(name).rstrip("\n") in text


def test_passage_fields_in_the_legacy_form() -> None:
    schema = parse_schema(snippet("passage-fields.sd"), elisions=True)
    assert schema.name == "passage"
    assert {f.name: str(f.type) for f in schema.fields.values()} == {
        "id": "int",
        "text": "string",
        "text_token_ids": "tensor<float>(d0[128])",
        "mini_document_embedding": "tensor<float>(d0[384])",
        "dt": "tensor<bfloat16>(dt{},x[32])",
    }
    assert schema.fields["text_token_ids"].indexing.outputs == {"summary", "attribute"}
    assert not schema.fields["dt"].indexing.statements


def test_onnx_model_beside_the_document_on_one_line() -> None:
    schema = parse_schema(snippet("passage-onnx-model.sd"), elisions=True)
    model = schema.onnx_models["minilmranker"]
    assert model.file == "files/ms-marco-MiniLM-L-6-v2-quantized.onnx"
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert dict(model.inputs) == {name: name for name in names}


def test_input_functions_of_the_profile() -> None:
    schema = parse_schema(snippet("dense-colbert-mini-lm-inputs.sd"), elisions=True)
    functions = schema.rank_profiles["dense-colbert-mini-lm"].functions
    assert functions["token_type_ids"].expression.text == (
        "tokenTypeIds(128, query(query_token_ids), attribute(text_token_ids))"
    )
    alone = parse_schema(snippet("function-input-ids.sd"), elisions=True)
    assert alone.rank_profiles["fragment"].functions["input_ids"] == functions["input_ids"]


def test_phases_of_the_profile() -> None:
    schema = parse_schema(snippet("dense-colbert-mini-lm-phases.sd"), elisions=True)
    profile = schema.rank_profiles["dense-colbert-mini-lm"]
    assert "".join(profile.functions["maxSimNormalized"].expression.text.split()) == (
        "sum(reduce(sum(query(qt)*attribute(dt),x),max,dt),qt)/32.0"
    )
    assert profile.functions["crossModel"].expression.text == "onnx(minilmranker){d0:0,d1:0}"
    assert profile.first_phase and profile.second_phase and profile.second_phase.expression
    assert profile.second_phase.rerank_count == 24
    assert profile.second_phase.expression.text == (
        "0.2*crossModel() + 1.1*maxSimNormalized() + 0.8*dense()"
    )
    alone = parse_schema(snippet("function-cross-model.sd"), elisions=True)
    assert (
        alone.rank_profiles["fragment"].functions["crossModel"] == profile.functions["crossModel"]
    )


def test_elisions_are_errors_unless_asked_for() -> None:
    with pytest.raises(PackageError) as error:
        parse_schema(snippet("passage-fields.sd"), "passage.sd")
    assert error.value.place and error.value.place.line == 3


def test_services_component_and_container() -> None:
    component = parse_services(snippet("e5-component.xml")).components["e5"]
    assert component.type == "hugging-face-embedder"
    assert component.models == {
        "transformer-model": ModelReference(path="model/model.onnx"),
        "tokenizer-model": ModelReference(path="model/tokenizer.json"),
    }
    assert parse_services(snippet("model-evaluation.xml"), elisions=True).model_evaluation


def test_feed_document() -> None:
    document = json.loads(snippet("feed-document.json"))
    assert str(DocumentId.parse(document["put"])) == "id:miracl-sw:doc::2-0"
    assert set(document["fields"]) == {"title", "text", "doc_id", "language"}


@pytest.mark.parametrize(
    "whole", [SEEDS / "passage.sd", ROOT / "examples" / "passage" / "schemas" / "passage.sd"]
)
def test_assembled_schema_keeps_every_line(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    schema = parse_schema(text, str(whole))
    profile = schema.profile("dense-colbert-mini-lm")
    for name in ("passage-onnx-model.sd", "dense-colbert-mini-lm-phases.sd"):
        part = parse_schema(snippet(name), elisions=True)
        for function in part.rank_profiles.get("dense-colbert-mini-lm", profile).functions.values():
            mine = profile.functions[function.name].expression.text
            assert lines(mine) == lines(function.expression.text)
        assert dict(part.onnx_models).items() <= dict(profile.onnx_models).items()
    there = lines(text)
    for name in [n for n in SNIPPETS if n.endswith(".sd")]:
        at = 0
        for line in lines(snippet(name)):
            if line.startswith("search ") or any(mark in line for mark in ELISIONS):
                continue
            at = there.index(line, at) + 1
    tensor = TensorType.parse("tensor<bfloat16>(dt{},x[32])")
    assert schema.field("dt").type == FieldType("tensor", tensor=tensor)


@pytest.mark.parametrize("name", ["passage", "beir", "stdlib"])
def test_example_packages_read(name: str) -> None:
    package = read_package(ROOT / "examples" / name)
    schema = package.schema()
    assert schema.name == "passage"
    assert all(schema.profile(profile).first_phase for profile in schema.rank_profiles)


def test_miniature_conformance_package() -> None:
    schema = read_package(ROOT / "tests" / "golden" / "fruit").schema()
    title, vec, tok = (schema.field(name) for name in ("title", "vec", "tok"))
    assert title.indexed and title.in_summary and title.bm25 and title.stemming == "none"
    assert vec.is_attribute and not vec.indexed and vec.distance_metric == "angular"
    assert str(tok.type) == "tensor<int8>(t{},x[1])"
    profile = schema.profile("r")
    assert {name: str(i.type) for name, i in profile.inputs.items()} == {
        "q": "tensor<float>(x[2])",
        "qt": "tensor<float>(s{},x[8])",
    }
    assert profile.global_phase and profile.global_phase.expression
    assert profile.global_phase.rerank_count == 3
    assert profile.global_phase.expression.text == "reciprocal_rank(lex) + reciprocal_rank(sem)"
    assert profile.match_features
    assert [feature.text for feature in profile.match_features] == ["lex", "sem"]
