"""Paths and parameters of `/document/v1`."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.serve.vespa.document_parameters import Parameters
from siftline.serve.vespa.document_path import PATHS, parse_path, unknown_path


@pytest.mark.parametrize(
    ("raw", "id_"),
    [
        ("/document/v1/ns/music/docid/1", "id:ns:music::1"),
        ("/document/v1/ns/music/docid/x%2Fy%20z", "id:ns:music::x/y z"),
        ("/document/v1/ns/music/docid/x/y%20z", "id:ns:music::x/y z"),
        ("/document/v1/ns/music/docid/a:b", "id:ns:music::a:b"),
        ("/document/v1/ns/music/docid/a+b", "id:ns:music::a+b"),
        ("/document/v1/ns/music/docid//", "id:ns:music::/"),
        ("/document/v1/n%20s/music/docid/%C3%A6", "id:n s:music::æ"),
        ("/document/v1/ns/music/number/23/1", "id:ns:music:n=23:1"),
        ("/document/v1/ns/music/number/18446744073709551615/1", f"id:ns:music:n={2**64 - 1}:1"),
        ("/document/v1/ns/music/group/best%20of/1/2", "id:ns:music:g=best of:1/2"),
    ],
)
def test_a_path_names_a_document(raw: str, id_: str) -> None:
    path = parse_path(raw)
    assert path is not None and str(path.id) == id_ and path.raw == raw


@pytest.mark.parametrize(
    ("raw", "selections"),
    [
        ("/document/v1", []),
        ("/document/v1/", []),
        ("/document/v1/ns/music/docid", ["music", "id.namespace == 'ns'"]),
        ("/document/v1/ns/music/docid/", ["music", "id.namespace == 'ns'"]),
        ("/document/v1/ns/music/number/007/", ["music", "id.namespace == 'ns'", "id.user == 7"]),
        (
            "/document/v1/ns/music/group/it's/",
            ["music", "id.namespace == 'ns'", "id.group == 'it\\'s'"],
        ),
    ],
)
def test_a_path_names_many_documents(raw: str, selections: list[str]) -> None:
    path = parse_path(raw)
    assert path is not None and path.id is None
    assert path.selections() == selections


@pytest.mark.parametrize(
    "raw",
    [
        "/document/v2/",
        "/document/v1/ns",
        "/document/v1/ns/music",
        "/document/v1/ns/music/",
        "/document/v1/ns/music/id/1",
        "/document/v1/ns/music/group/",
        "/document/v1/ns/music/number",
    ],
)
def test_at_other_paths_there_is_nothing(raw: str) -> None:
    assert parse_path(raw) is None


def test_the_message_lists_the_paths() -> None:
    assert unknown_path("/document/v1/ns") == (
        "Nothing at '/document/v1/ns'. Available paths are:\n"
        "/document/v1/\n"
        "/document/v1/{namespace}/{documentType}/docid/\n"
        "/document/v1/{namespace}/{documentType}/group/{group}/\n"
        "/document/v1/{namespace}/{documentType}/number/{number}/\n"
        "/document/v1/{namespace}/{documentType}/docid/{*}\n"
        "/document/v1/{namespace}/{documentType}/group/{group}/{*}\n"
        "/document/v1/{namespace}/{documentType}/number/{number}/{*}"
    )
    assert len(PATHS) == 7


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("/document/v1/ns/music/number/x/1", "Failed parsing 'x'"),
        ("/document/v1/ns/music/number/-1/1", "Failed parsing '-1'"),
        (f"/document/v1/ns/music/number/{2**64}/1", "Failed parsing"),
        ("/document/v1/ns/music/docid/%FF", "does not decode to UTF-8"),
        ("/document/v1//music/docid/1", "'' is not a namespace"),
        ("/document/v1/ns/a%3Ab/docid/1", "'a:b' is not a document type"),
        ("/document/v1/ns/music/group/a:b/1", "'a:b' is not a group"),
    ],
)
def test_a_wrong_part_is_named(raw: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_path(raw)


@given(st.text(min_size=1), st.booleans())
def test_every_user_part_comes_back(user: str, slashes: bool) -> None:
    try:
        encoded = quote(user, safe="/" if slashes else "")
    except UnicodeEncodeError:  # half of a surrogate pair has no percent-encoding
        return
    path = parse_path(f"/document/v1/ns/music/docid/{encoded}")
    assert path is not None and path.user == user


def parameters(**values: str) -> Parameters:
    return Parameters(values, "/document/v1/")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("5s", 5.0),
        ("2 s", 2.0),
        ("5000ms", 5.0),
        ("1.5", 1.5),
        (".5ks", 500.0),
        ("10µs", 1e-5),
        ("10us", 1e-5),
        ("0", 0.0),
    ],
)
def test_a_timeout_has_units(text: str, seconds: float) -> None:
    assert parameters(timeout=text).timeout == pytest.approx(seconds)


def test_the_timeout_is_180_seconds_unless_given() -> None:
    assert parameters().timeout == 180.0


@pytest.mark.parametrize("text", ["x", "5h", "-1", "1e3", "nan"])
def test_another_timeout_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Failed parsing .* for parameter 'timeout'"):
        _ = parameters(timeout=text).timeout


def test_an_empty_value_is_refused() -> None:
    with pytest.raises(UsageError, match="Expected non-empty value for request property 'cluster'"):
        parameters(cluster="").text("cluster")


def test_a_value_that_must_be_given() -> None:
    with pytest.raises(UsageError, match="Must specify 'cluster' at '/document/v1/'"):
        parameters().required("cluster")


def test_a_value_that_must_not_be_given() -> None:
    with pytest.raises(UsageError, match="May not specify 'fieldSet' at '/document/v1/'"):
        parameters(fieldSet="[all]").forbid("route", "fieldSet")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_flag(text: str, value: bool) -> None:
    assert parameters(create=text).flag("create") is value
    assert parameters().flag("create") is None


def test_a_flag_is_true_or_false() -> None:
    with pytest.raises(UsageError, match="expected true or false"):
        parameters(create="1").flag("create")


@pytest.mark.parametrize(
    ("text", "message"), [("0", "must be positive, got 0"), ("x", "whole number"), ("1.5", "whole")]
)
def test_a_number_has_a_least_value(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parameters(slices=text).number("slices", 1)
