"""Document selections against the rules of Vespa's reference and its backend (spec 4.4)."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.feed import selection_nodes as nodes
from siftline.feed.operation import DocumentId
from siftline.feed.selection import Selection, parse_selection

ID = DocumentId.parse("id:ns:m:n=7:a:b")
FIELDS: dict[str, Any] = {
    "n": 5,
    "x": 2.5,
    "s": "abc",
    "flag": True,
    "tags": ["red", "green"],
    "weights": {"3": 10, "4": 20},
    "map": {"k": "v", "two words": "w"},
    "people": [{"name": "ann", "age": 30}, {"name": "bob", "age": 40}],
    "vec": {"type": "tensor<float>(x[2])", "values": [1.0, 2.0]},
}


def truth(text: str, id_: DocumentId = ID) -> bool | None:
    return parse_selection(text).truth(id_, FIELDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # constants, types, presence
        ("", True),
        ("true", True),
        ("FALSE", False),
        ("m", True),
        ("other", False),
        ("not other", True),
        ("m.n", True),
        ("m.missing", False),
        ("not m.missing", True),
        ("m.missing == null", True),
        ("m.n != NULL", True),
        ("null == null", True),
        ("m.vec", True),
        ("m.vec == null", False),
        ("m.vec == 3", None),
        # numbers
        ("m.n == 5", True),
        ("m.n == 5.0", True),
        ("m.n = 5", True),
        ("m.n <= 4", False),
        ("m.n > 4 and m.n < 6", True),
        ("m.x == 2.5", True),
        ("m.n == -5", False),
        ("m.flag == true", True),
        ("m.flag == 1", True),
        ("0x10 == 16", True),
        ("534E-3 < 1", True),
        # texts
        ('m.s == "abc"', True),
        ("m.s == 'abc'", True),
        ('m.s < "abd"', True),
        (r'"a\x41\n\t\"" == "aA' + "\n\t" + r'\""', True),
        ('m.s = "a*"', True),
        ('m.s = "?b?"', True),
        ('m.s = "b*"', False),
        ('m.s = "*b*c"', True),
        ('m.s = "a.c"', False),
        ('m.s =~ "b"', True),
        ('m.s =~ "^b"', False),
        ('m.s =~ "^a.c$"', True),
        # what does not go together is invalid, as is another type's field
        ('m.n == "5"', None),
        ("m.s < 3", None),
        ('m.n =~ "5"', None),
        ("m.missing < 3", None),
        ("other.n == 3", None),
        ("not other.n == 3", None),
        ("null < 3", None),
        # three values
        ("m.missing < 3 and false", False),
        ("m.missing < 3 and true", None),
        ("m.missing < 3 or true", True),
        ("m.missing < 3 or false", None),
        ("not (m.missing < 3)", None),
        ("(m.missing != null) and (m.missing > 3)", False),
        # precedence: not, and, or
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("not false and false", False),
        ("not m.n == 4", True),
        # arithmetic: % over * and / over + and -; whole numbers cut towards zero
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("6 * 7 % 4 == 18", True),
        ("7 / 2 == 3", True),
        ("0 - 7 / 2 == -3", True),
        ("-7 / 2 == -3", True),
        ("-7 % 3 == -1", True),
        ("7 / 2.0 == 3.5", True),
        ("1 -2 == -1", True),
        ("m.n / 0 == 1", None),
        ("m.n % 0 == 1", None),
        ('m.s + "d" == "abcd"', True),
        ("m.s + 1 == 3", None),
        ("9223372036854775807 + 1 < 0", True),
        # functions; the hash is the first half of MD5, low byte first
        ('"ABC".lowercase() == m.s', True),
        ('(m.s + "X").lowercase() == "abcx"', True),
        ("m.n.abs() == 5", True),
        ("(0 - m.n).abs() == 5", True),
        ('"".hash() == 338333539836370388', True),
        ('"abc".hash() == -5742139842178842224', True),
        ("m.n.lowercase() == 5", None),
        ("now() > 1700000000", True),
        ("now() - 5 < now()", True),
        # the id
        ('id == "id:ns:m:n=7:a:b"', True),
        ('id.scheme == "id"', True),
        ('id.namespace == "ns"', True),
        ('id.type == "m"', True),
        ('id.specific == "a:b"', True),
        ("id.user == 7", True),
        ("ID.USER == 7", True),
        ("id.group == null", True),
        # several values: one of them is enough, also for !=
        ('m.tags == "green"', True),
        ('m.tags == "blue"', False),
        ('m.tags != "green"', True),
        ('not m.tags == "green"', True),
        ('m.tags = "gr*"', True),
        ('m.tags[1] == "green"', True),
        ('m.tags[7] == "green"', False),
        ("m.tags[7] == null", True),
        ('"green" == m.tags', None),
        ("m.weights{3} == 10", True),
        ("m.weights{5} == 10", False),
        ("m.weights == 4", True),
        ("m.weights == 5", False),
        ("m.weights.value > 15", True),
        ('m.map == "k"', True),
        ('m.map{k} == "v"', True),
        ('m.map{"two words"} == "w"', True),
        ('m.map.key == "k"', True),
        ('m.people.name == "bob"', True),
        ("m.people[0].age == 30", True),
        # a variable stands for the same element wherever it is written
        ('m.people[$i].name == "ann" and m.people[$i].age == 30', True),
        ('m.people[$i].name == "ann" and m.people[$i].age == 40', False),
        ('m.people.name == "ann" and m.people.age == 40', True),
        ("m.weights{$k} == 10 and m.weights{$k} == 20", False),
    ],
)
def test_what_a_selection_says_of_a_document(text: str, expected: bool | None) -> None:
    assert truth(text) is expected


def test_a_group_is_text_and_a_number_is_missing_elsewhere() -> None:
    grouped = DocumentId.parse("id:ns:m:g=some:x")
    assert truth('id.group == "some" and id.user == null', grouped) is True


def test_without_fields_the_id_alone_decides() -> None:
    selection = parse_selection('id.namespace == "ns" and m.n == 5')
    assert selection.truth(ID, None) is None
    assert parse_selection('id.namespace == "x" and m.n == 5').truth(ID, None) is False


def test_invalid_selects_nothing() -> None:
    assert not parse_selection("m.missing < 3").matches(ID, FIELDS)
    assert parse_selection("m.n < 6").matches(ID, FIELDS)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("m.n ==", 7, "the end"),
        ("m.n == 5 and", 13, "the end"),
        ("m.n == 5 5", 10, "'5'"),
        ("m.n ! 5", 5, "! 5"),
        ("(m.n", 5, "the end"),
        ("m.n == foo", 8, "'foo' is no value"),
        ("m.n.twice() == 3", 5, "No function 'twice' exists"),
        ("id.bla == 3", 4, "id has no 'bla'"),
        ("m.s == 'x", 8, "'x"),
        ('m.s =~ "("', 5, "not a regular expression"),
        ('m.s =~ "(a+)+b"', 5, "repeat inside a repeat"),
        ('m.s =~ "(a|a)*b"', 5, "repeat inside a repeat"),
        ('m.s =~ "(.)\\\\1"', 5, "back reference"),
        ("m.n == 99999999999999999999", 8, "64-bit integer"),
        ("m.n == 1e999", 8, "floating point"),
    ],
)
def test_a_wrong_selection_is_refused_with_its_column(text: str, column: int, message: str) -> None:
    with pytest.raises(UsageError, match=".") as caught:
        parse_selection(text)
    assert message in str(caught.value)
    assert caught.value.place is not None and caught.value.place.column == column


@pytest.mark.parametrize(
    "text", ["5", "'text'", "m.n + 1", "now()", "id", "not 5", "(" * 300 + "m" + ")" * 300]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_selection(text)


def test_names_are_checked_where_types_are_known() -> None:
    types = {"m": frozenset({"n"})}
    parse_selection("m.n == 3 or not m", types)
    with pytest.raises(UsageError, match=r"Document type 'x' not found \(there is m\)"):
        parse_selection("m.n == 3 or x.n == 3", types)
    with pytest.raises(UsageError, match=r"No field 'o' in document type 'm' \(it has n\)"):
        parse_selection("m.o", types)


@pytest.mark.parametrize("pattern", ["*" * 60 + "x", "*a" * 60])
def test_a_glob_takes_no_exponential_time(pattern: str) -> None:
    started = time.perf_counter()
    found = parse_selection(f'm.s = "{pattern}"').matches(ID, {"s": "a" * 59 + "b" * 2_000})
    assert not found
    assert time.perf_counter() - started < 1


# parse(str(selection)) == selection

NAMES = st.sampled_from(["m", "music", "n", "title", "type", "user", "andy", "nothing"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
LITERALS = st.one_of(TEXTS, NUMBERS, st.none(), st.booleans()).map(nodes.Literal)
STEPS = st.one_of(
    st.builds(nodes.Lookup, st.one_of(TEXTS, st.integers(0, 99))),
    st.builds(nodes.Lookup, st.sampled_from(["{$x}", "[$y]"]), st.just(True)),
    st.builds(nodes.Member, NAMES),
)
PATHS = st.builds(nodes.FieldPath, NAMES, NAMES, st.lists(STEPS, max_size=3).map(tuple))
PARTS = st.sampled_from(["", "namespace", "type", "specific", "scheme", "user", "group"])
LEAVES = st.one_of(LITERALS, PATHS, st.builds(nodes.IdPart, PARTS), st.just(nodes.Now()))


def _chains(values: st.SearchStrategy[Any], signs: str) -> st.SearchStrategy[Any]:
    rest = st.lists(st.tuples(st.sampled_from(signs), values), min_size=1, max_size=3)
    return st.builds(nodes.Chain, values, rest.map(tuple))


VALUES = st.recursive(
    LEAVES,
    lambda values: st.one_of(
        _chains(values, "+-"),
        _chains(values, "*/"),
        _chains(values, "%"),
        st.builds(nodes.Call, values, st.sampled_from(["lowercase", "hash", "abs"])),
    ),
    max_leaves=6,
)
COMPARATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "="])
ATOMS = st.one_of(
    st.booleans().map(nodes.Constant),
    NAMES.map(nodes.OfType),
    st.builds(nodes.Comparison, VALUES, COMPARATORS, VALUES),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda conditions: st.one_of(
        st.builds(nodes.Not, conditions),
        st.builds(
            nodes.Junction,
            st.sampled_from(["and", "or"]),
            st.lists(conditions, min_size=2, max_size=3).map(tuple),
        ),
    ),
    max_leaves=6,
)


@given(CONDITIONS.map(Selection))
def test_what_is_printed_parses_to_the_same(selection: Selection) -> None:
    assert parse_selection(str(selection)) == selection


@given(CONDITIONS.map(Selection))
def test_any_selection_is_decided(selection: Selection) -> None:
    assert selection.truth(ID, FIELDS) in (True, False, None)


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse_selection(text)
    except UsageError:
        pass
