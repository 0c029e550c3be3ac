"""The declarations as a JSON Schema (draft 2020-12), for editors and for /api/v1/config.schema.json."""

from __future__ import annotations

import dataclasses
import typing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from app.config.duration import format_duration
from app.config.settings import SETTLED, Config, Secret

_PERCENT = r"^\d+(\.\d+)?%?$"
_DURATION = r"^(\d+(\.\d+)?(ms|y|w|d|h|m|s))+$"


def schema() -> dict[str, Any]:
    """JSON Schema of quarterdeck.yaml."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "quarterdeck.yaml",
        **_object(Config),
    }


def _object(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    properties: dict[str, Any] = {}
    required = []
    for declared in dataclasses.fields(cls):
        if cls is Config and declared.name in SETTLED:
            continue
        kind = hints[declared.name]
        described = {**_type(kind), "description": declared.metadata["sentence"]}
        default = declared.default
        if default is not dataclasses.MISSING and default not in (None, ()):
            described["default"] = format_duration(default) if isinstance(default, timedelta) else default
        elif default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING:
            required.append(declared.name)
        properties[declared.name] = described
        if Secret in (kind, *get_args(kind)):
            properties[f"{declared.name}_file"] = {"type": "string", "description": "File that holds it."}
    made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": required} if required else made


def _type(kind: Any) -> dict[str, Any]:
    arguments = [arg for arg in get_args(kind) if arg is not type(None)]
    if len(arguments) == 1 and type(None) in get_args(kind):
        return _type(arguments[0])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object(kind)
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if kind is timedelta:
        return {"type": "string", "pattern": _DURATION}
    if kind is float:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _PERCENT}]}
    plain = {bool: "boolean", int: "integer", str: "string", Path: "string", Secret: "string"}
    return {"type": plain[kind]}


def table() -> str:
    """Every setting as the Markdown table of docs/configuration.md (a test keeps both equal)."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | {default} | {sentence} |" for name, default, sentence in _rows(Config, "")]
    return "\n".join(rows) + "\n"


def _rows(cls: type[Any], at: str) -> list[tuple[str, str, str]]:
    hints = typing.get_type_hints(cls)
    made: list[tuple[str, str, str]] = []
    for declared in dataclasses.fields(cls):
        if cls is Config and declared.name in SETTLED:
            continue
        kind = hints[declared.name]
        inner = next((arg for arg in get_args(kind) if dataclasses.is_dataclass(arg)), kind)
        name = f"{at}{declared.name}"
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            made += _rows(inner, f"{name}[]." if get_origin(kind) is tuple else f"{name}.")
        else:
            made.append((name, _default(declared), declared.metadata["sentence"]))
    return made


def _default(declared: dataclasses.Field[Any]) -> str:
    value = declared.default
    if value is dataclasses.MISSING:
        return "required"
    if value in (None, ()):
        return "-"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
