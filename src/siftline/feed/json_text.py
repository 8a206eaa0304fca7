"""One JSON value out of text, or what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

#: what an undecodable byte becomes under `surrogateescape`, so that it spoils one value only
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class JsonFault:
    """What is wrong with one value.

    cut: the text ended inside the value, which more text may complete. end: nothing behind it
    can be read.
    """

    message: str
    cut: bool = False
    end: bool = False


def decode(text: str) -> Any:
    """The JSON value that `text` is, or a JsonFault."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        fault = decoding_fault(error)
        at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip())
        return JsonFault(fault.message, cut=at_end)
    return checked(text, value)


def decoding_fault(error: Exception) -> JsonFault:
    """The fault that an exception of the JSON decoder reports."""
    if isinstance(error, RecursionError):
        return JsonFault("nested too deeply to be read")
    if not isinstance(error, json.JSONDecodeError):
        return JsonFault(f"not readable: {error}")
    near = error.doc[error.pos : error.pos + 20].split("\n")[0].strip()
    shown = near.encode("utf-8", "backslashreplace").decode()
    return JsonFault(f"not JSON: {error.msg}" + (f", near '{shown}'" if near else ""))


def checked(text: str, value: Any) -> Any:
    """`value`, or a fault where its text is not whole Unicode and so cannot be stored."""
    if not text.isascii() and _BAD_BYTE.search(text):
        return JsonFault("not UTF-8")
    if _SURROGATE_ESCAPE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ord(error.object[error.start])
            return JsonFault(f"half of a surrogate pair stands alone: \\u{half:x}")
    return value
