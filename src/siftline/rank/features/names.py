"""Names and arguments of references as text."""

from __future__ import annotations

from siftline.errors import PackageError
from siftline.rank.nodes import Node, Reference, String


def canonical(reference: Reference) -> str:
    """The name as results print it: `name(a,b).output` without spaces or quotes (spec 2.1)."""
    arguments = ",".join(argument_texts(reference))
    name = f"{reference.name}({arguments})" if reference.arguments else reference.name
    return f"{name}.{reference.output}" if reference.output else name


def argument_texts(reference: Reference) -> list[str]:
    """The arguments as text, references in canonical form, quotes taken off."""
    return [argument_text(argument) for argument in reference.arguments]


def argument_text(argument: Node) -> str:
    """One argument as text."""
    if isinstance(argument, Reference):
        return canonical(argument)
    return argument.text if isinstance(argument, String) else str(argument)


def only_argument(reference: Reference) -> str:
    """The one argument; PackageError where there is another number of them."""
    return exact_arguments(reference, 1)[0]


def exact_arguments(reference: Reference, *counts: int) -> list[str]:
    """The arguments as text; PackageError where their number is not one of `counts`."""
    texts = argument_texts(reference)
    if len(texts) not in counts:
        wanted = " or ".join(str(count) for count in counts)
        raise PackageError(
            f"{reference.name} takes {wanted} argument{'' if wanted == '1' else 's'},"
            f" not {len(texts)}: '{canonical(reference)}'"
        )
    return texts


def whole_number(reference: Reference, text: str) -> int:
    """An argument that counts, as an int; PackageError if it is not one."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0 or number != int(number):
        raise PackageError(f"'{text}' in '{canonical(reference)}' is not a whole number")
    return int(number)
