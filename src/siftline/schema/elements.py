"""The elements of a schema file: what stands where, before anybody asks what it means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from siftline.errors import PackageError, Place
from siftline.schema.nearest import nearest
from siftline.schema.places import Places
from siftline.schema.refused import REFUSED

#: levels of braces that a schema file may have
DEEPEST = 64

_STRING_OR_COMMENT = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*")
_ELISION = re.compile(r"(?<!\.)\.{2,3}(?!\.)")
_STRING_OR_BRACE = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[{}]")
_KEY_AND_VALUE = re.compile(r"((?:\"(?:\\.|[^\"\\])*\"|[^\":])+?)[ \t]*:[ \t]*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a block: `head: value`, `head { children }`, `head { raw body }` or `head`.

    value: the text after the colon or inside the braces of a raw block, comments blanked;
    None for a block or flag. value_place: where that text begins.
    """

    head: str
    place: Place
    value: str | None = None
    value_place: Place | None = None
    children: tuple[Element, ...] | None = None

    @property
    def key(self) -> str:
        """The first word of the head: the kind of element."""
        return re.split(r"[\s(]", self.head, maxsplit=1)[0]

    @property
    def rest(self) -> str:
        """The head after its first word: a name, a type, what is inherited."""
        return self.head[len(self.key) :].strip()

    @property
    def text(self) -> str:
        """The value, which must be there and not be empty."""
        if not self.value:
            form = "a block" if self.children is not None else "nothing"
            raise PackageError(
                f"'{self.head}' needs a value ('{self.head}: …'), got {form}", self.place
            )
        return self.value

    @property
    def body(self) -> tuple[Element, ...]:
        """The children, which must be there."""
        if self.children is None:
            raise PackageError(f"'{self.head}' needs a block: {self.head} {{ … }}", self.place)
        return self.children

    def fail(self, message: str) -> NoReturn:
        """Refuse the element with its place."""
        raise PackageError(message, self.place)


def clean(text: str, *, elisions: bool = False) -> str:
    """`text` with comments, and elisions if asked, blanked: every position stays."""
    text = _STRING_OR_COMMENT.sub(
        lambda found: found[0] if found[0][0] != "#" else " " * len(found[0]), text
    )
    return blank_elisions(text) if elisions else text


def blank_elisions(text: str) -> str:
    """`text` with `...` and `..` blanked: every position stays."""
    return _ELISION.sub(lambda found: " " * len(found[0]), text)


def read_elements(
    text: str, file: str | None = None, *, elisions: bool = False
) -> tuple[Element, ...]:
    """The elements of a schema file; PackageError with its place where it cannot be read."""
    text = clean(text, elisions=elisions)
    _check_braces(text, file)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _problem(text, file, error) from None
    places = Places(text, file)
    return tuple(
        _element(child, text, places) for child in tree.children if isinstance(child, Tree)
    )


@cache
def _parser() -> Lark:
    return Lark.open(
        "sd.lark", rel_to=__file__, parser="lalr", lexer="contextual", propagate_positions=True
    )


def _element(tree: Tree[Token], text: str, places: Places) -> Element:
    token = tree.children[0]
    if not isinstance(token, Token) or token.start_pos is None:
        raise PackageError(f"no head in {tree.data}")
    start = token.start_pos
    place = places.at(start)
    if tree.data == "setting":
        found = _KEY_AND_VALUE.fullmatch(token)
        head, value = (found[1], found[2]) if found else (str(token), "")
        offset = start + (found.start(2) if found else 0)
        return Element(head, place, value.strip(), places.at(offset))
    head = " ".join(token.split())
    if tree.data == "raw":
        inside = tree.meta.start_pos + len(token)
        inside = text.index("{", inside) + 1
        body = text[inside : tree.meta.end_pos - 1]
        lead = len(body) - len(body.lstrip())
        return Element(head, place, _strip_lines(body), places.at(inside + lead))
    if tree.data == "flag":
        return Element(head, place)
    children = tuple(_element(c, text, places) for c in tree.children[1:] if isinstance(c, Tree))
    return Element(head, place, children=children)


def _strip_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def _check_braces(text: str, file: str | None) -> None:
    """Braces outside strings match and do not nest deeper than any schema needs."""
    opened: list[int] = []
    for found in _STRING_OR_BRACE.finditer(text):
        offset = found.start()
        if found[0] == "{":
            opened.append(offset)
            if len(opened) > DEEPEST:
                raise PackageError(
                    f"'{{' nests deeper than {DEEPEST} levels", Places(text, file).at(offset)
                )
        elif found[0] == "}":
            if not opened:
                raise PackageError("'}' closes nothing", Places(text, file).at(offset))
            opened.pop()
    if opened:
        raise PackageError("'{' is never closed", Places(text, file).at(opened[-1]))


def _problem(text: str, file: str | None, error: UnexpectedInput) -> PackageError:
    offset = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    line = text[offset:].split("\n", 1)[0][:30]
    return PackageError(
        f"cannot read '{line}' (expected 'key: value', 'key {{ … }}' or a word)",
        Places(text, file).at(offset),
    )


Handler = Callable[[Element], None]


def dispatch(elements: Iterable[Element], handlers: Mapping[str, Handler], where: str) -> None:
    """Call the handler of each element by its key.

    What is Vespa but not supported is refused by name; an unknown word gets the nearest one.
    """
    for element in elements:
        handler = handlers.get(element.key)
        if handler is None:
            raise unknown(element, handlers, where)
        handler(element)


def unknown(element: Element, known: Iterable[str], where: str) -> PackageError:
    """The error for an element that `where` does not take."""
    if element.key in REFUSED:
        return PackageError(
            f"'{element.key}' in {where} is not supported{REFUSED[element.key]}", element.place
        )
    return PackageError(
        f"unknown element '{element.key}' in {where}{nearest(element.key, known)}", element.place
    )
