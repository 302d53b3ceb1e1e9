"""Parameters of a query, as the fields of its schema say."""

from typing import Any

from marshmallow import Schema, fields, validate


def parameters(schema: type[Schema]) -> list[dict[str, Any]]:
    """Describe each parameter: what it is, which values it takes, and an example."""
    return [
        {
            "name": name,
            "in": "query",
            "required": field.required,
            "description": field.metadata["description"],
            "schema": {"type": "string"} | _values(field),
            "example": field.metadata["example"],
        }
        for name, field in sorted(schema().fields.items())
    ]


def _values(field: fields.Field[Any]) -> dict[str, Any]:
    if isinstance(field.validate, validate.OneOf):
        return {"enum": list(field.validate.choices)}
    return {"pattern": field.metadata["pattern"]}
