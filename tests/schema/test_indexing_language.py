"""The indexing language: text to steps, steps to text and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import PackageError, Place
from siftline.schema.format_script import format_script
from siftline.schema.indexing import parse_script
from siftline.schema.script import (
    CallStep,
    ConcatStep,
    ElementStep,
    EmbedStep,
    FirstStep,
    ForEachStep,
    InputStep,
    LiteralStep,
    OutputStep,
    PipeStep,
    Script,
    Step,
)
from siftline.schema.sd import parse_schema

A, B, INDEX = InputStep("a"), InputStep("b"), OutputStep("index")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("index | summary", (INDEX, OutputStep("summary"))),
        ("input a | embed e5 | attribute", (A, EmbedStep("e5"), OutputStep("attribute"))),
        ("embed colbert context", (EmbedStep("colbert", ("context",)),)),
        ("embed | index", (EmbedStep(None), INDEX)),
        (
            '(input a || "") . " " . (input b || "")',
            (
                ConcatStep(
                    (
                        FirstStep((A, LiteralStep(""))),
                        LiteralStep(" "),
                        FirstStep((B, LiteralStep(""))),
                    )
                ),
            ),
        ),
        (
            'for_each { trim | "t:" . _ }',
            (ForEachStep((CallStep("trim"), ConcatStep((LiteralStep("t:"), ElementStep())))),),
        ),
        ("(trim | lowercase)", (PipeStep((CallStep("trim"), CallStep("lowercase"))),)),
        (
            "input a + 3 * input b",
            (CallStep("+", (A, CallStep("*", (LiteralStep(3), B)))),),
        ),
        ('split "\\\\s+"', (CallStep("split", ("\\s+",)),)),
        ("substring 1 -2", (CallStep("substring", (1, -2)),)),
        ("input person.name", (InputStep("person.name"),)),
        (
            'if (input a == "x") { index } else { input b | index; }',
            (CallStep("if", (A, "==", LiteralStep("x"), (INDEX,), (B, INDEX))),),
        ),
        (
            "switch { case 'v': index; default: input b; }",
            (CallStep("switch", ((("v", (INDEX,)),), (B,))),),
        ),
        (
            "select_input { a: index; b: input b; }",
            (CallStep("select_input", ((("a", (INDEX,)), ("b", (B,))),)),),
        ),
    ],
)
def test_one_statement(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_script(text).statements == (steps,)
    assert parse_script(format_script(Script((steps,)))).statements == (steps,)


def test_block_of_statements_with_comments() -> None:
    schema = parse_schema("""
        schema s { document s { field a type string {
          indexing {
            input a | index;   # first; not a statement
            input a |
              lowercase |
              summary;
          }
          # index: enable-bm25
        } field b type string {
          indexing: (input a || "")
            . "x"   # goes on
            | index |
            summary
          stemming: none
        } } }
    """)
    assert schema.fields["a"].indexing.statements == (
        (A, INDEX),
        (A, CallStep("lowercase"), OutputStep("summary")),
    )
    assert schema.fields["b"].indexing.outputs == {"index", "summary"}
    assert schema.fields["b"].stemming == "none"


def test_nested_steps_are_seen() -> None:
    script = parse_script("if (input a > 1) { input b | embed e | attribute }")
    assert script.inputs == {"a", "b"}
    assert script.outputs == {"attribute"}
    assert [step.embedder for step in script.embedders] == ["e"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("index |\n  tirm", "did you mean 'trim'", "f.sd:8:3"),
        ("attribute | lowercase | index", "different values", "f.sd:7:20"),
        ("split", "'split' takes 1 arguments, got 0", "f.sd:7:20"),
        ("input", "needs the name of a field", "f.sd:7:20"),
        ("index summary extra", "cannot be read at 'extra'", "f.sd:7:34"),
        ("(index", "cannot be read at its end", "f.sd:7:26"),
    ],
)
def test_errors_have_their_place(text: str, message: str, place: str) -> None:
    with pytest.raises(PackageError) as error:
        parse_script(text, Place("f.sd", 7, 20))
    assert message in str(error.value)
    assert str(error.value).startswith(place)


NAMES = st.sampled_from(["a", "title", "person.name", "index1"])
TEXTS = st.text("ab \"\\'\n#{}:|\té", max_size=6)
LITERALS = st.builds(
    LiteralStep, st.one_of(TEXTS, st.integers(-99, 99), st.booleans(), st.floats(-9, 9, width=32))
)
LEAVES: st.SearchStrategy[Step] = st.one_of(
    st.builds(InputStep, NAMES),
    LITERALS,
    st.just(ElementStep()),
    st.just(CallStep("trim")),
    st.builds(EmbedStep, st.sampled_from([None, "e5"])),
    st.builds(CallStep, st.sampled_from(["split", "join"]), st.tuples(TEXTS)),
    st.builds(CallStep, st.just("substring"), st.tuples(st.integers(0, 9), st.integers(-9, 9))),
)


def several(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


def nested(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    statement = st.lists(inner, min_size=1, max_size=3).map(tuple)
    cases = st.lists(st.tuples(TEXTS, statement), min_size=1, max_size=2).map(tuple)
    return st.one_of(
        st.builds(ConcatStep, several(inner)),
        st.builds(FirstStep, several(inner)),
        st.builds(PipeStep, several(inner)),
        st.builds(ForEachStep, statement),
        st.builds(CallStep, st.sampled_from("+-*/%"), st.tuples(inner, inner)),
        st.builds(
            CallStep,
            st.just("if"),
            st.tuples(inner, st.sampled_from(["==", "<="]), inner, statement, st.just(None)),
        ),
        st.builds(CallStep, st.just("switch"), st.tuples(cases, st.one_of(st.none(), statement))),
    )


STEPS: st.SearchStrategy[Step] = st.recursive(LEAVES, nested, max_leaves=6)
STATEMENTS = st.lists(STEPS, min_size=1, max_size=3).map(tuple)


@given(st.lists(STATEMENTS, min_size=1, max_size=2).map(tuple))
def test_text_of_a_script_reads_back_equal(statements: Any) -> None:
    script = Script(statements)
    assert parse_script(format_script(script)) == script
