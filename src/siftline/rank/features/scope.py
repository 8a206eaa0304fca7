"""What names mean while a rank profile is read: fields, inputs, constants, models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from siftline.errors import PackageError
from siftline.schema.definition import Constant, Field, Function, OnnxModel, RankProfile, Schema
from siftline.schema.nearest import nearest


@dataclass(frozen=True)
class Scope:
    """A schema and one of its resolved rank profiles."""

    schema: Schema
    profile: RankProfile

    @property
    def functions(self) -> Mapping[str, Function]:
        """The profile's functions by name."""
        return self.profile.functions

    @property
    def constants(self) -> Mapping[str, Constant]:
        """The constants by name, the schema's too."""
        return self.profile.constants

    @property
    def models(self) -> Mapping[str, OnnxModel]:
        """The ONNX models by name, the schema's too."""
        return self.profile.onnx_models

    def field(self, name: str) -> Field:
        """The field of that name or alias; PackageError names the nearest."""
        fields = self.schema.fields
        if name in fields:
            return fields[name]
        for field in fields.values():
            if name in field.aliases:
                return field
        raise PackageError(
            f"schema '{self.schema.name}' has no field '{name}'{nearest(name, fields)}"
        )

    def attribute(self, name: str) -> Field:
        """The field of that name, which must be an attribute."""
        field = self.field(name)
        if not field.is_attribute:
            raise PackageError(
                f"field '{name}' is not an attribute: add 'attribute' to its indexing statement"
            )
        return field

    def index(self, name: str) -> Field:
        """The field of that name, which must be a text index."""
        field = self.field(name)
        if not field.indexed or field.type.kind == "tensor":
            raise PackageError(
                f"field '{name}' is not a text index: add 'index' to its indexing statement"
            )
        return field
