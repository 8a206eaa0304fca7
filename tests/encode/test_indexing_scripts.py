from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from encode_fakes import CountingEmbedder, FakeSession, id_vectors, tokenizer, transformer
from test_sparse import embedder as sparse_embedder

from siftline.encode.colbert import ColbertEmbedder, ColbertOptions
from siftline.encode.embedder import Embedder
from siftline.encode.encoded import Encoded
from siftline.encode.functions import sip_hash
from siftline.encode.script import check_scripts, encode_documents
from siftline.errors import DocumentError, PackageError
from siftline.schema.definition import Field, FieldType, Schema
from siftline.schema.indexing import parse_script
from siftline.tensor.batch import DenseBatch, RaggedBatch, SparseBatch, TensorBatch
from siftline.tensor.types import TensorType

STRING = FieldType("string")
LONG = FieldType("long")
STRINGS = FieldType("array", STRING)


def tensor(text: str) -> FieldType:
    return FieldType("tensor", tensor=TensorType.parse(text))


def schema(*fields: Field) -> Schema:
    return Schema("doc", {field.name: field for field in fields})


def made(name: str, type_: FieldType, script: str, inside: bool = True) -> Field:
    return Field(name, type_, parse_script(script), inside=inside)


def encode(
    fields: Sequence[Field],
    documents: Sequence[Mapping[str, Any]],
    embedders: Mapping[str, Embedder] | None = None,
    **options: Any,
) -> Encoded:
    named = [(f"id:n:doc::{i}", document) for i, document in enumerate(documents)]
    return encode_documents(schema(*fields), named, embedders or {}, **options)


def outputs(script: str, value: Any, type_: FieldType = STRING, result: FieldType = STRING) -> Any:
    """What a synthetic field with this script writes for a document whose field x has the value."""
    fields = [made("x", type_, "summary"), made("y", result, script, inside=False)]
    return encode(fields, [{} if value is None else {"x": value}]).outputs["y"][0]


@pytest.mark.parametrize(
    ("script", "value", "expected"),
    [
        ("input x | lowercase | index", "ABC", "abc"),
        ("input x | trim | index", "  a b ", "a b"),
        ("input x | substring 1 3 | index", "abcdef", "bc"),
        ("input x | substring 3 99 | index", "abcdef", "def"),
        ("input x | normalize | index", "Café", "Cafe"),
        ("input x | tokenize normalize | index", "Café", "Café"),
        ('input x . "-" . input x | index', "a", "a-a"),
        ('input x . "-" | index', None, None),
        ('input x || "none" | index', None, "none"),
        ('(input x || "") . "!" | index', None, "!"),
        ("input x | lowercase | index", None, None),
        ('"fixed" | index', None, "fixed"),
        ('input x | split "," | join ";" | index', "a,b,,c,,", "a;b;;c"),
        (
            'input x | split "," | for_each { trim | "t:" . _ } | join "|" | index',
            "a, b",
            "t:a|t:b",
        ),
        ('input x | if (input x == "a") { "yes" } else { "no" } | index', "a", "yes"),
        ('input x | if (input x == "a") { "yes" } else { "no" } | index', "b", "no"),
        ('input x | switch { case "a": "one"; default: "other"; } | index', "a", "one"),
        ('input x | switch { case "a": "one"; default: "other"; } | index', "b", "other"),
        ("input x | set_var v; get_var v | index", "a", "a"),
        ("input x | set_language | get_language | index", "fr", "fr"),
    ],
)
def test_texts(script: str, value: str | None, expected: str | None) -> None:
    assert outputs(script, value) == expected


@pytest.mark.parametrize(
    ("script", "value", "expected"),
    [
        ("input x | to_int | attribute", "-12", -12),
        ("input x | to_long | attribute", "9007199254740993", 9007199254740993),
        ("input x | hex_decode | attribute", "ff", 255),
        ("input x | hex_decode | hex_encode | hex_decode | attribute", "ffffffffffffffff", -1),
        ("input x | to_epoch_second | attribute", "2023-12-24T17:00:43.000Z", 1703437243),
        ("input x | base64decode | attribute", "AQA=", 256),
        ("(input x | to_long) + 3 * 2 | attribute", "4", 10),
        ("(input x | to_long) / 2 | attribute", "-7", -3),
        ("(input x | to_long) % 4 | attribute", "-7", -3),
    ],
)
def test_numbers(script: str, value: str, expected: int) -> None:
    assert outputs(script, value, result=LONG) == expected


def test_hash_is_siphash() -> None:
    # the vector of the SipHash paper: key 00…0f, message 00…0e
    assert sip_hash(bytes(range(15))) == 0xA129CA6149BE45E5
    value = sip_hash(b"a")
    signed = value - (1 << 64) if value >> 63 else value
    assert outputs("input x | hash | attribute", "a", result=LONG) == signed


def test_arrays_and_sets() -> None:
    assert outputs('input x | split "-" | index', "a-b", result=STRINGS) == ["a", "b"]
    assert outputs("input x . input x | index", ["a"], STRINGS, STRINGS) == ["a", "a"]
    weighted = FieldType("weightedset", STRING)
    assert outputs('input x | split "-" | to_wset | attribute', "a-b", result=weighted) == {
        "a": 1, "b": 1,
    }  # fmt: skip
    chunks = outputs("input x | chunk sentence | index", "One two. Three! Four", result=STRINGS)
    assert chunks == ["One two.", "Three!", "Four"]
    chunks = outputs("input x | chunk fixed-length 10 | index", "hello world again", result=STRINGS)
    assert "".join(chunks) == "hello world again" and chunks[0] == "hello world"


def test_select_input() -> None:
    fields = [
        made("a", STRING, "summary"),
        made("b", STRING, "summary"),
        made("y", STRING, 'select_input { a: "A" . _; b: lowercase; } | index', inside=False),
    ]
    fields[2] = made("y", STRING, "select_input { a: trim; b: lowercase; } | index", inside=False)
    found = encode(fields, [{"a": " X "}, {"b": "Y"}, {}]).outputs["y"]
    assert found == ["X", "y", None]


def test_which_fields_are_written() -> None:
    fields = [
        made("stored", STRING, "summary"),
        made("both", STRING, "index | attribute | summary"),
        made("copied", STRING, "input both | summary", inside=False),
        Field("plain", STRING),
    ]
    encoded = encode(fields, [{"stored": "s", "both": "b", "plain": "p"}, {}])
    assert encoded.outputs == {"both": ["b", None], "copied": ["b", None]}
    assert encoded.ids == ["id:n:doc::0", "id:n:doc::1"]
    assert encoded.fields[0] == {"stored": "s", "both": "b", "plain": "p"}


def test_several_statements_later_ones_win_where_not_null() -> None:
    fields = [
        made("a", STRING, "summary"),
        made("y", STRING, '"x" | index; input a | index', inside=False),
    ]
    assert encode(fields, [{"a": "1"}, {}]).outputs["y"] == ["1", "x"]


def test_language_of_each_document() -> None:
    fields = [made("lang", STRING, "set_language"), made("text", STRING, "index")]
    encoded = encode(fields, [{"lang": "de", "text": "a"}, {"text": "b"}])
    assert encoded.languages == ["de", "en"]
    partial = encode(fields, [{"lang": "de", "text": "a"}], only=frozenset({"text"}))
    assert partial.languages == ["de"] and partial.outputs == {"text": ["a"]}


X2 = tensor("tensor<float>(x[2])")


def test_one_call_for_all_documents_and_each_text_once() -> None:
    embedder = CountingEmbedder()
    fields = [
        made("text", STRING, "index"),
        made("one", X2, "input text | embed e | attribute", inside=False),
        made("two", X2, "input text | embed | attribute | index", inside=False),
        made(
            "three", tensor("tensor<double>(x[2])"), "input text | embed | attribute", inside=False
        ),
    ]
    documents = [{"text": "aa"}, {}, {"text": "b"}, {"text": "aa"}]
    encoded = encode(fields, documents, {"e": embedder})
    assert [texts for texts, _ in embedder.asked] == [["aa", "b"], ["aa", "b"]]
    one = encoded.vectors["one"]
    assert isinstance(one, DenseBatch)
    assert one.present.tolist() == [True, False, True, True]
    assert one.values.tolist() == [[2, 2], [0, 0], [1, 1], [2, 2]]
    assert np.array_equal(encoded.vectors["two"].values, one.values)  # type: ignore[union-attr]


def test_new_texts_of_a_later_field_join_those_known() -> None:
    embedder = CountingEmbedder()
    fields = [
        made("a", STRING, "index"),
        made("b", STRING, "index"),
        made("one", X2, "input a | embed e | attribute", inside=False),
        made("two", X2, "input b | embed e | attribute", inside=False),
    ]
    documents = [{"a": "x", "b": "yyy"}, {"a": "zz", "b": "x"}]
    encoded = encode(fields, documents, {"e": embedder})
    assert [texts for texts, _ in embedder.asked] == [["x", "zz"], ["yyy"]]
    assert encoded.vectors["two"].values[:, 0].tolist() == [3, 1]  # type: ignore[union-attr]


def test_the_empty_text_is_embedded() -> None:
    embedder = CountingEmbedder()
    fields = [
        made("text", STRING, "index"),
        made("v", X2, '(input text || "") | embed e | attribute', inside=False),
    ]
    encoded = encode(fields, [{}], {"e": embedder})
    assert embedder.asked[0][0] == [""]
    assert encoded.vectors["v"].present.tolist() == [True]  # type: ignore[union-attr]


def test_arrays_of_texts_become_a_mapped_dimension() -> None:
    embedder = CountingEmbedder()
    chunked = tensor("tensor<float>(chunk{},x[2])")
    fields = [
        made("parts", STRINGS, "index"),
        made("v", chunked, "input parts | embed e | attribute", inside=False),
    ]
    encoded = encode(fields, [{"parts": ["a", "bb"]}, {}, {"parts": ["bb"]}], {"e": embedder})
    assert embedder.asked == [(["a", "bb"], "tensor<float>(x[2])")]
    batch = encoded.vectors["v"]
    assert isinstance(batch, RaggedBatch)
    first = batch.tensor(0)
    assert first is not None and first.labels == (("0",), ("1",))
    assert batch.rows[:, 0].tolist() == [1, 2, 2] and batch.offsets.tolist() == [0, 2, 2, 3]


def colbert() -> ColbertEmbedder:
    own = tokenizer()
    return ColbertEmbedder(
        "c", transformer(FakeSession(id_vectors(16))), lambda: own, ColbertOptions()
    )


def test_arrays_of_texts_with_token_vectors() -> None:
    fields = [
        made("parts", STRINGS, "index"),
        made(
            "v",
            tensor("tensor<int8>(chunk{},dt{},x[2])"),
            "input parts | embed c chunk | attribute",
            inside=False,
        ),
    ]
    batch = encode(fields, [{"parts": ["hello", "a b"]}, {}], {"c": colbert()}).vectors["v"]
    assert isinstance(batch, TensorBatch) and batch.tensor(1) is None
    found = batch.tensor(0)
    assert found is not None
    assert found.labels == tuple(
        (chunk, str(i)) for chunk, n in (("0", 4), ("1", 5)) for i in range(n)
    )


def test_one_document_split_into_sentences() -> None:
    fields = [
        made("text", STRING, "index"),
        made(
            "v",
            tensor("tensor<float>(s{},x[2])"),
            "input text | chunk sentence | embed e | attribute",
            inside=False,
        ),
    ]
    batch = encode(fields, [{"text": "Ab. C."}], {"e": CountingEmbedder()}).vectors["v"]
    assert isinstance(batch, RaggedBatch) and batch.rows[:, 0].tolist() == [3, 2]


def test_tokens_are_counted_without_specials() -> None:
    fields = [
        made("text", STRING, "index"),
        made(
            "s", tensor("tensor<float>(token{})"), "input text | embed s | attribute", inside=False
        ),
    ]
    encoded = encode(
        fields,
        [{"text": "hello hello world"}, {}, {"text": "a zzz"}],
        {"s": sparse_embedder()},
        count_tokens=frozenset({"s"}),
    )
    counted = encoded.vectors["s#tokens"]
    assert isinstance(counted, SparseBatch) and len(counted) == 3
    words = [counted.vocabulary[token] for token in counted.tokens]
    assert words == ["hello", "world", "a"] and counted.indptr.tolist() == [0, 2, 2, 3]
    assert len(encoded.vectors["s"]) == 3 and encoded.vectors["s"].tensor(1) is None


def test_tensors_of_documents() -> None:
    fields = [
        made("v", X2, "attribute | index"),
        made("m", tensor("tensor<float>(k{})"), "attribute"),
    ]
    encoded = encode(fields, [{"v": [1, 2], "m": {"a": 3}}, {}, {"v": {"values": [3, 4]}}])
    assert encoded.vectors["v"].values.tolist() == [[1, 2], [0, 0], [3, 4]]  # type: ignore[union-attr]
    found = encoded.vectors["m"].tensor(0)
    assert found is not None and found.labels == (("a",),)


def test_bits_of_tensors() -> None:
    fields = [
        made("v", tensor("tensor<float>(x[8])"), "attribute"),
        made(
            "p",
            tensor("tensor<int8>(x[1])"),
            "input v | binarize 0.5 | pack_bits | attribute",
            False,
        ),
        made("e", tensor("tensor<int8>(x[2])"), '"abc" | embed e | pack_bits | attribute', False),
    ]
    embedder = CountingEmbedder()
    encoded = encode(fields, [{"v": [1, 0, 1, 0, 1, 0, 1, 0.5]}, {}], {"e": embedder})
    assert encoded.vectors["p"].values.tolist() == [[-86], [0]]  # type: ignore[union-attr]
    assert embedder.asked == [(["abc"], "tensor<float>(x[16])")]
    assert encoded.vectors["e"].values.tolist() == [[-1, -1], [-1, -1]]  # type: ignore[union-attr]


def test_only_some_fields() -> None:
    embedder = CountingEmbedder()
    fields = [
        made("a", STRING, "index"),
        made("b", STRING, "index"),
        made("v", X2, "input a | embed e | attribute", inside=False),
    ]
    encoded = encode(fields, [{"a": "x", "b": "y"}], {"e": embedder}, only=frozenset({"b"}))
    assert encoded.outputs == {"b": ["y"]} and not encoded.vectors and not embedder.asked


BROKEN = [
    {"n": "12", "v": [1, 2]},
    {"n": "twelve", "v": [1, 2]},
    {"n": "13", "v": [1, float("nan")]},
    {"n": "14", "v": [1]},
    {},
]


def broken_fields() -> list[Field]:
    return [
        made("n", STRING, "summary"),
        made("v", X2, "attribute"),
        made("number", LONG, "input n | to_long | attribute", inside=False),
    ]


def test_a_bad_document_is_named() -> None:
    with pytest.raises(DocumentError, match=r"document 'id:n:doc::0', field 'number': .*'x'"):
        encode(broken_fields(), [{"n": "x"}])
    with pytest.raises(DocumentError, match="field 'v': .*finite"):
        encode(broken_fields(), [{"v": [float("nan"), 1]}])
    with pytest.raises(DocumentError, match="field 'v'"):
        encode(broken_fields(), [{"v": [1, 2, 3]}])


def test_the_others_go_in() -> None:
    errors: dict[str, DocumentError] = {}
    encoded = encode(broken_fields(), BROKEN, errors=errors)
    assert encoded.ids == ["id:n:doc::0", "id:n:doc::4"]
    assert encoded.outputs["number"] == [12, None]
    assert encoded.vectors["v"].present.tolist() == [True, False]  # type: ignore[union-attr]
    assert sorted(errors) == ["id:n:doc::1", "id:n:doc::2", "id:n:doc::3"]
    assert "field 'number'" in str(errors["id:n:doc::1"])


def test_embedding_what_is_no_text() -> None:
    fields = [
        made("n", LONG, "attribute"),
        made("v", X2, "input n | embed e | attribute", inside=False),
    ]
    with pytest.raises(DocumentError, match="embed needs a text"):
        encode(fields, [{"n": 3}], {"e": CountingEmbedder()})


def test_scripts_that_do_not_fit() -> None:
    def check(*fields: Field) -> None:
        check_scripts(schema(*fields), {"c": colbert()})

    with pytest.raises(PackageError, match="field 'v': Can't find embedder 'x'"):
        check(made("v", X2, '"a" | embed x | attribute', inside=False))
    with pytest.raises(PackageError, match="one vector for each token"):
        check(made("v", X2, '"a" | embed | attribute', inside=False))
    with pytest.raises(PackageError, match="needs a tensor field"):
        check(made("v", STRING, '"a" | embed | attribute', inside=False))
    check(made("v", tensor("tensor<float>(p{},dt{},x[16])"), "embed c p | attribute", inside=False))
    with pytest.raises(PackageError, match="unknown field 'z'"):
        encode([made("v", STRING, "input z | index", inside=False)], [{}])
    two = tensor("tensor<float>(p{},dt{},x[16])")
    parts = made("parts", STRINGS, "index")
    with pytest.raises(PackageError, match="name it: embed ID DIMENSION"):
        encode(
            [parts, made("v", two, "input parts | embed c | attribute", inside=False)],
            [{"parts": ["a"]}],
            {"c": colbert()},
        )


def test_no_documents() -> None:
    fields = [
        made("t", STRING, "index"),
        made("v", X2, "input t | embed | attribute", inside=False),
    ]
    encoded = encode(fields, [], {"e": CountingEmbedder()})
    assert len(encoded) == 0 and len(encoded.vectors["v"]) == 0
