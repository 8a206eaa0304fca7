"""`<document-api>` of services.xml."""

import pytest

from siftline.errors import PackageError
from siftline.schema.package import Package, Services
from siftline.schema.services import parse_services
from siftline.schema.write_services import format_services


def services(inner: str) -> str:
    return (
        f'<services><container id="default" version="1.0">{inner}</container>'
        '<content id="content" version="1.0"/></services>'
    )


@pytest.mark.parametrize(
    ("inner", "ignores"),
    [
        ("", False),
        ("<document-api/>", False),
        ("<document-api><timeout>5</timeout></document-api>", False),
        (
            "<document-api><ignore-undefined-fields>true</ignore-undefined-fields></document-api>",
            True,
        ),
        (
            "<document-api><ignore-undefined-fields>false</ignore-undefined-fields></document-api>",
            False,
        ),
    ],
)
def test_whether_undefined_fields_are_ignored(inner: str, ignores: bool) -> None:
    assert parse_services(services(inner)).ignore_undefined_fields is ignores


def test_another_value_is_refused_with_its_place() -> None:
    text = services(
        "<document-api>\n<ignore-undefined-fields>yes</ignore-undefined-fields></document-api>"
    )
    with pytest.raises(PackageError, match="is 'yes', expected true or false") as caught:
        parse_services(text)
    assert caught.value.place is not None and caught.value.place.line == 2


def test_it_is_written_back() -> None:
    written = format_services(Package("p", {}, Services(ignore_undefined_fields=True)))
    assert parse_services(written).ignore_undefined_fields
