"""The shapes of bodies that the interface's description refers to by name."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_FLAG: Json = {"type": "boolean"}
_OBJECT: Json = {"type": "object"}

SCHEMAS: Json = {
    "Error": {
        "type": "object",
        "required": ["error-code", "message"],
        "properties": {"error-code": _TEXT, "message": _TEXT},
    },
    "DocumentReply": {
        "type": "object",
        "required": ["pathId"],
        "properties": {"pathId": _TEXT, "id": _TEXT, "message": _TEXT, "fields": _OBJECT},
    },
    "Operation": {
        "type": "object",
        "required": ["fields"],
        "properties": {"fields": _OBJECT, "condition": _TEXT, "create": _FLAG},
    },
    "Hit": {
        "type": "object",
        "required": ["id", "relevance"],
        "properties": {
            "id": _TEXT,
            "relevance": {"type": ["number", "string"]},
            "source": _TEXT,
            "fields": _OBJECT,
        },
    },
    "SearchError": {
        "type": "object",
        "required": ["code", "summary", "message"],
        "properties": {
            "code": {"type": "integer"},
            "summary": _TEXT,
            "source": _TEXT,
            "message": _TEXT,
            "transient": _FLAG,
        },
    },
    "Result": {
        "type": "object",
        "required": ["root"],
        "properties": {
            "root": {
                "type": "object",
                "required": ["id", "relevance", "fields"],
                "properties": {
                    "id": _TEXT,
                    "relevance": {"type": "number"},
                    "fields": _OBJECT,
                    "coverage": _OBJECT,
                    "errors": {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/SearchError"},
                    },
                    "children": {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/Hit"},
                    },
                },
            },
            "timing": _OBJECT,
            "trace": _OBJECT,
        },
    },
}
