"""JSON lines and JSON arrays, whole and broken."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.feed import json_array
from siftline.feed.json_text import JsonFault
from siftline.feed.reader import read_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=6)


def values(data: bytes) -> list[Any]:
    return [value for _, value in read_values(io.BytesIO(data))]


def lines(data: bytes) -> list[int]:
    return [line for line, _ in read_values(io.BytesIO(data))]


def good(data: bytes) -> list[Any]:
    return [value for value in values(data) if not isinstance(value, JsonFault)]


@pytest.fixture(params=[1, 3, 7, 1 << 16])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(json_array, "CHUNK", request.param)
    return int(request.param)


@given(OBJECTS, st.booleans(), st.booleans())
def test_lines_round_trip(objects: list[Any], ascii_only: bool, final_break: bool) -> None:
    text = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in objects)
    assert values((text + "\n" * final_break).encode()) == objects


@given(OBJECTS, st.sampled_from([None, 0, 1, 4]), st.booleans(), st.sampled_from([1, 5, 64]))
def test_array_round_trip(objects: list[Any], indent: int | None, wide: bool, size: int) -> None:
    text = json.dumps(objects, indent=indent, ensure_ascii=wide)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", size)
        assert values(text.encode()) == objects


@given(OBJECTS, st.sampled_from([1, 4]))
def test_objects_printed_over_lines_round_trip(objects: list[Any], indent: int) -> None:
    text = "\n".join(json.dumps(value, indent=indent) for value in objects)
    assert values(text.encode()) == objects


def test_the_line_is_the_one_on_which_a_value_begins() -> None:
    assert lines(b'\n{"a": 1}\n\n{\n "b": 2\n}\n{"c": 3}') == [2, 4, 7]
    assert lines(b'\n[\n{"a": 1},\n\n{\n "b": 2\n}, {"c": 3}]') == [3, 5, 7]


def test_numbers_and_literals_cut_by_a_chunk(chunk: int) -> None:
    assert values(b"[12345678, -1.25e-3, true, false, null, [1, 23]]") == [
        12345678,
        -1.25e-3,
        True,
        False,
        None,
        [1, 23],
    ]


GOOD = [{"put": f"id:n:t::{i}", "fields": {"text": f'ü {i} {{ ] , \\ " {i}'}} for i in range(5)]


@given(st.data())
def test_a_line_cut_at_any_byte_costs_that_line_only(data: st.DataObject) -> None:
    rows = [json.dumps(value, ensure_ascii=False).encode() for value in GOOD]
    broken = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(1, len(rows[broken]) - 1))
    rows[broken] = rows[broken][:at]
    found = values(b"\n".join(rows))
    assert [v for v in found if not isinstance(v, JsonFault)] == GOOD[:broken] + GOOD[broken + 1 :]
    assert sum(isinstance(value, JsonFault) for value in found) == 1


@given(st.data())
def test_any_byte_put_into_a_line_costs_that_line_only(data: st.DataObject) -> None:
    rows = [json.dumps(value, ensure_ascii=False).encode() for value in GOOD]
    broken = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(0, len(rows[broken])))
    byte = bytes([data.draw(st.integers(0, 255).filter(lambda b: b not in b"[\n"))])
    rows[broken] = rows[broken][:at] + byte + rows[broken][at:]
    others = GOOD[:broken] + GOOD[broken + 1 :]
    found = good(b"\n".join(rows))
    assert [value for value in found if value in others] == others
    assert len(values(b"\n".join(rows))) == len(GOOD)


@pytest.mark.parametrize("separator", [", ", ",\n", "\n, ", ",\n  "])
@pytest.mark.parametrize("wrong", ['{"a": }', '{"a" 1}', "nonsense", '{"a": "\\x"}', '{"a": [1, 2'])
def test_a_broken_element_of_an_array_costs_that_element_only(
    separator: str, wrong: str, chunk: int
) -> None:
    rows = [json.dumps(value) for value in GOOD]
    rows[2] = wrong
    found = values(f"[{separator.join(rows)}]".encode())
    if wrong == '{"a": [1, 2' and separator == ", ":
        expected = GOOD[:2]  # brackets that never close, and no line to go on with
    else:
        expected = GOOD[:2] + GOOD[3:]
    assert [value for value in found if not isinstance(value, JsonFault)] == expected
    assert any(isinstance(value, JsonFault) for value in found)


@given(st.integers(0, 400), st.sampled_from([None, 1]), st.sampled_from([2, 50]))
def test_an_array_cut_at_any_byte_gives_what_stands_before(
    at: int, indent: int | None, size: int
) -> None:
    data = json.dumps(GOOD, indent=indent).encode()
    at = min(at, len(data) - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", size)
        found = values(data[:at])
    whole = [value for value in found if not isinstance(value, JsonFault)]
    assert whole == GOOD[: len(whole)]
    assert len(whole) == sum(
        len(json.dumps(GOOD[: n + 1], indent=indent)) - (1 if indent is None else 2) <= at
        for n in range(len(GOOD))
    )
    assert at == 0 or isinstance(found[-1], JsonFault)


def test_a_pretty_printed_array_goes_on_behind_a_broken_element(chunk: int) -> None:
    text = json.dumps(GOOD, indent=2).replace('"put": "id:n:t::1",', '"put": "id:n:t::1"')
    assert good(text.encode()) == GOOD[:1] + GOOD[2:]


def test_a_missing_comma_loses_nothing(chunk: int) -> None:
    found = values(b'[{"a": 1} {"b": 2}\n{"c": 3}]')
    assert [v for v in found if not isinstance(v, JsonFault)] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert len(found) == 5


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'["\xc3\x28"]', "not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "too deeply"),
        (b'[{"a": ' + b"[" * 100_000 + b"}]", "too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not readable"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b'[{"a": 1}', "not closed"),
        (b'[{"a": 1}] more', "behind the end"),
        (b"\xef\xbb", "not JSON"),
    ],
)
def test_faults_say_what_is_wrong(data: bytes, says: str) -> None:
    faults = [value.message for value in values(data) if isinstance(value, JsonFault)]
    assert any(says in message for message in faults), faults


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert values(b'{"a": "\\ud83d\\ude00"}') == [{"a": "\N{GRINNING FACE}"}]


def test_byte_order_mark_and_empty_input() -> None:
    assert values(b'\xef\xbb\xbf{"a": 1}') == [{"a": 1}]
    assert values(b'\xef\xbb\xbf[{"a": 1}]') == [{"a": 1}]
    assert values(b"") == values(b" \n\t\n") == values(b"[]") == values(b" [ \n ] ") == []


def test_a_truncated_first_line_does_not_swallow_the_file() -> None:
    rows = b'{"put": "id:n:t::0",\n' + b'{"a": 1}\n' * 3
    assert good(rows) == [{"a": 1}] * 3
