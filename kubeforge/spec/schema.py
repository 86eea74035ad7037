"""The JSON Schema of cluster.yml, made from the model: editors complete and check with it while one writes."""

from __future__ import annotations

from typing import Any, Final

from kubeforge.spec.model import ClusterSpec

__all__ = ["schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: Final = ["string", "number", "boolean"]


def schema() -> dict[str, Any]:
    """Return the schema.

    It takes what the loader takes: numbers and truth values where text is wanted, and empty sections.
    """
    made = ClusterSpec.model_json_schema()
    for section in (made, *made.get("$defs", {}).values()):
        for field in section.get("properties", {}).values():
            _loosen(field)
    return {"$schema": _DIALECT, **made, "title": "kubeforge cluster.yml"}


def _loosen(field: dict[str, Any]) -> None:
    if field.get("type") == "string" and not field.keys() & {"pattern", "enum", "const"}:
        field["type"] = list(_SCALARS)
    elif field.get("type") in ("object", "array"):
        field["type"] = [field["type"], "null"]
    if isinstance(field.get("additionalProperties"), dict):
        _loosen_values(field["additionalProperties"])
    if isinstance(field.get("items"), dict):
        _loosen_values(field["items"])
    if "$ref" in field:
        field["anyOf"] = [{"$ref": field.pop("$ref")}, {"type": "null"}]


def _loosen_values(values: dict[str, Any]) -> None:
    if values.get("type") == "string":
        values["type"] = list(_SCALARS)
    for option in values.get("anyOf", ()):
        _loosen_values(option)
        if isinstance(option.get("items"), dict):
            _loosen_values(option["items"])
