"""XML with places: a small tree read by expat, which knows the line of every element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from siftline.errors import PackageError, Place

#: levels of elements that a file may have
DEEPEST = 64


@dataclass(slots=True)
class XmlElement:
    """One element: tag without namespace prefix rules, attributes, children, own text."""

    tag: str
    attributes: dict[str, str]
    place: Place
    children: list[XmlElement] = field(default_factory=list)
    text: str = ""

    def find(self, tag: str) -> XmlElement | None:
        """The first child of that tag."""
        return next((c for c in self.children if c.tag == tag), None)

    def walk(self) -> Iterator[XmlElement]:
        """The element and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def attribute(self, name: str) -> str:
        """An attribute that must be there."""
        if name not in self.attributes:
            self.fail(f"<{self.tag}> needs the attribute '{name}'")
        return self.attributes[name]

    def fail(self, message: str) -> NoReturn:
        """Refuse the element with its place."""
        raise PackageError(message, self.place)


def parse_xml(text: str, file: str | None = None) -> XmlElement:
    """The root element of `text`; PackageError with its place where it is not well-formed.

    A document type declaration is refused whole, and with it every entity it could define.
    """
    parser = expat.ParserCreate()
    roots: list[XmlElement] = []
    open_: list[XmlElement] = []

    def here() -> Place:
        return Place(file, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = XmlElement(tag, dict(attributes), here())
        (open_[-1].children if open_ else roots).append(element)
        open_.append(element)
        if len(open_) > DEEPEST:
            element.fail(f"elements nest deeper than {DEEPEST} levels")

    def end(_: str) -> None:
        closed = open_.pop()
        closed.text = closed.text.strip()

    def characters(data: str) -> None:
        if open_:
            open_[-1].text += data

    def declaration(*_: object) -> None:
        raise PackageError("a DOCTYPE declaration is refused: entities are not read", here())

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = declaration
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise PackageError(
            f"not well-formed XML: {expat.ErrorString(error.code)}",
            Place(file, error.lineno, error.offset + 1),
        ) from None
    return roots[0]
