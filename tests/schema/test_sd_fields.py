"""Fields, types and everything around them in a schema file; refusals with their place."""

import pytest

from siftline.errors import PackageError
from siftline.schema.check import check_schema
from siftline.schema.definition import Field, Hnsw, Schema
from siftline.schema.field_type import parse_field_type
from siftline.schema.sd import parse_schema


def schema(document: str = "", outside: str = "") -> Schema:
    return parse_schema(f"schema s {{\ndocument s {{\n{document}\n}}\n{outside}\n}}", "s.sd")


def field(body: str, type_: str = "string") -> Field:
    return schema(f"field f type {type_} {{\n{body}\n}}").fields["f"]


def refusal(text: str) -> PackageError:
    with pytest.raises(PackageError) as error:
        check_schema(parse_schema(text, "s.sd"))
    return error.value


def test_body_of_a_text_field() -> None:
    made = field("""
        indexing: index | summary   # a comment {
        index: enable-bm25
        match { text max-length: 50 }
        stemming: shortest
        normalizing: none
        rank: filter
        weight: 200
        alias: other
        bolding: off
        dictionary { hash cased }
        query-command: "x"
    """)
    assert made.indexed and made.in_summary and made.bm25
    assert (made.stemming, made.normalize, made.rank, made.weight) == (
        "shortest",
        False,
        "filter",
        200,
    )
    assert (made.match, dict(made.match_settings)) == ("text", {"max-length": "50"})
    assert made.aliases == ("other",)
    assert made.hints["query-command"] == '"x"'


def test_several_elements_on_one_line() -> None:
    made = field('indexing: "a: b" . input g | index  index: enable-bm25  stemming: none')
    assert made.bm25 and made.stemming == "none"
    assert made.indexing.outputs == {"index"}


def test_vector_field_gets_a_graph() -> None:
    made = field("indexing: attribute | index", "tensor<float>(x[3])")
    assert made.hnsw == Hnsw()
    body = """
        indexing: attribute | index
        attribute { distance-metric: innerproduct
          fast-rank }
        index { hnsw { max-links-per-node: 8
          multi-threaded-indexing: true } }
    """
    made = field(body, "tensor<float>(x[3])")
    assert made.hnsw == Hnsw(8, 200)
    assert made.distance_metric == "prenormalized-angular"
    assert made.attribute_options == {"fast-rank"}
    assert field("indexing: attribute", "tensor<float>(x[3])").hnsw is None


def test_index_of_numbers_is_an_attribute() -> None:
    made = field("indexing: index", "array<int>")
    assert made.is_attribute and not made.indexed


def test_match_of_case_and_exact() -> None:
    assert field("indexing: attribute\nmatch { word cased }").match == "cased"
    exact = field('indexing: index\nmatch { exact exact-terminator: "%%"\ncased }')
    assert (exact.match, exact.rank) == ("exact", "filter")
    assert exact.match_settings == {"exact-terminator": "%%", "case": "cased"}


@pytest.mark.parametrize(
    "text",
    [
        "string",
        "array<string>",
        "weightedset<int>",
        "map<string,array<int>>",
        "tensor<int8>(t{},x[16])",
        "bool",
    ],
)
def test_types_print_as_written(text: str) -> None:
    assert str(parse_field_type(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strng", "did you mean 'string'"),
        ("predicate", "type 'predicate' is not supported"),
        ("reference<a>", "type 'reference' is not supported"),
        ("position", "type 'position' is not supported"),
        ("tensor<float>(x[])", "has no size"),
        ("tensor<floot>(x[2])", "unknown cell type"),
        ("weightedset<float>", "a weightedset holds"),
        ("array<tensor(x[2])>", "is not a field type"),
        ("map<string>", "needs a key and a value"),
    ],
)
def test_types_refused(text: str, message: str) -> None:
    with pytest.raises(PackageError, match=message.replace("(", r"\(")):
        parse_field_type(text)


def test_structs_and_their_parts() -> None:
    made = schema("""
        struct person { field name type string {} field age type int {} }
        field owner type person { indexing: summary }
        field people type array<person> {
          indexing: summary
          struct-field name { indexing: attribute
            attribute: fast-search }
        }
        field counts type map<string, int> {
          struct-field key { indexing: attribute }
          struct-field value { indexing: attribute }
        }
    """)
    assert {n: str(t) for n, t in made.structs["person"].items()} == {
        "name": "string",
        "age": "int",
    }
    assert str(made.fields["people"].type) == "array<person>"
    name = made.fields["people"].struct_fields["name"]
    assert name.is_attribute and str(name.type) == "string"
    assert str(made.fields["counts"].struct_fields["value"].type) == "int"


def test_schema_wide_settings() -> None:
    made = parse_schema(
        """
        # before the schema
        schema s {
          stemming: none
          raw-as-base64-in-summary: false
          document { field a type string { indexing: index } }
          field b type string { indexing: input a | index
            stemming: best }
          fieldset default { fields: a, b }
          document-summary short inherits default {
            summary a {}
            summary c { source: b }
            from-disk
          }
        }
        """
    )
    assert (made.fields["a"].stemming, made.fields["b"].stemming) == ("none", "best")
    assert made.fields["a"].inside and not made.fields["b"].inside
    assert made.fieldsets["default"].fields == ("a", "b")
    assert made.summaries["short"].fields == {"a": "a", "c": "b"}
    assert made.summaries["short"].from_disk and made.summaries["short"].inherits == ("default",)
    assert [f.name for f in made.searched("default")] == ["a", "b"]


DOCUMENT = "schema s {{\n  document s {{\n    {}\n  }}\n}}"
OUTSIDE = "schema s {{\n  document s {{}}\n  {}\n}}"
TEXT_FIELD = "schema s {{\n  document s {{\n    field f type string {{ {} }}\n  }}\n}}"


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        (TEXT_FIELD.format("indxing: index"), "unknown element 'indxing'.*'indexing'", 3, 27),
        (TEXT_FIELD.format("match: gram"), "'gram' in match of field 'f' is not supported", 3, 34),
        (TEXT_FIELD.format("bolding: on"), "'bolding: on' is not supported", 3, 27),
        (TEXT_FIELD.format("rank-type: tags"), "'rank-type' .* is not supported", 3, 27),
        (TEXT_FIELD.format("stemming: wrong"), "'stemming' is 'wrong'", 3, 27),
        (TEXT_FIELD.format("weight: heavy"), "expected a whole number", 3, 27),
        (TEXT_FIELD.format("indexing: lowercse | index"), "did you mean 'lowercase'", 3, 37),
        (TEXT_FIELD.format("indexing: index | | summary"), "cannot be read at '| summary'", 3, 45),
        (TEXT_FIELD.format('match { exact-terminator: "a" b }'), "one text in quotes", 3, 35),
        (TEXT_FIELD.format("attribute { fast-search: no }"), "takes no value", 3, 39),
        (TEXT_FIELD.format("index: enable-bm25"), "enable-bm25 needs an index", 3, 34),
        (TEXT_FIELD.format("indexing: index | generate x"), "'generate' is not supported", 3, 45),
        (DOCUMENT.format("field host type string {}"), "reserved word", 3, 5),
        (DOCUMENT.format("field a-b type string {}"), "cannot name a field", 3, 5),
        (DOCUMENT.format("field a type predicate {}"), "'predicate' is not supported", 3, 5),
        (DOCUMENT.format("field a string {}"), "is not a field", 3, 5),
        (DOCUMENT.format("annotation a {}"), "'annotation' in document 's' is not supported", 3, 5),
        (OUTSIDE.format("import field a.b as c {}"), "'import' in schema 's' is not supp", 3, 3),
        (OUTSIDE.format("fieldset d { fields: nix }"), "names field 'nix'", 3, 3),
        (OUTSIDE.format("fieldset d { match { word } }"), "'match' in a fieldset", 3, 16),
        (OUTSIDE.format("index i {}"), "'index' outside a field", 3, 3),
        (OUTSIDE.format("rank-profil p {}"), "did you mean 'rank-profile'", 3, 3),
        (OUTSIDE.format("field a type string {}"), "needs an indexing statement", 3, 3),
        (OUTSIDE.format("field a type string { indexing: index }"), "must begin with", 3, 35),
        (OUTSIDE.format("field a type int { indexing: input b | attribute }"), "'b'", 3, 32),
        (OUTSIDE.format("document-summary x { summary y {} }"), "shows field 'y'", 3, 3),
        ("schema s { document t {} }", "must have the name of its schema", 1, 12),
        ("schema s inherits t { document s {} }", "'inherits t' of a schema", 1, 1),
        ("schema s { }", "has no 'document s", 1, 1),
        ("document s { }", "only serves inheritance", 1, 1),
        ("schema s {\n  document s {\n", "'{' is never closed", 2, 14),
        ("schema s {\n  document s { } } }", "'}' closes nothing", 2, 20),
        ("", "holds no schema", 1, 1),
        ("schema s { document s {} }\nschema t { document t {} }", "holds one schema", 2, 1),
        ("schema s {\n  ; document s {} }", "cannot read '; document", 2, 3),
    ],
)
def test_errors_name_the_thing_and_its_place(
    text: str, message: str, line: int, column: int
) -> None:
    error = refusal(text)
    assert error.place and (error.place.line, error.place.column) == (line, column), str(error)
    with pytest.raises(PackageError, match=message):
        raise error


def test_two_fields_of_one_name_name_the_first() -> None:
    error = refusal("schema s { document s {\nfield a type int {}\nfield a type int {}\n} }")
    assert "field 'a' is defined twice (first at s.sd:2:1)" in str(error)
    assert str(error).startswith("s.sd:3:1")


def test_vector_index_needs_a_fitting_type_and_attribute() -> None:
    error = refusal(DOCUMENT.format("field v type tensor(a{}) { indexing: attribute | index }"))
    assert "cannot have a vector index" in str(error)
    error = refusal(DOCUMENT.format("field v type tensor(x[2]) { indexing: index }"))
    assert "needs 'attribute'" in str(error)
    error = refusal(DOCUMENT.format("field v type bool { indexing: index }"))
    assert "cannot be an index" in str(error)
