"""Parameters of query strings: declared once, read from the request, published in the OpenAPI document.

Unknown parameters are ignored; a bad value is an error that names its parameter, never a silent default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.config import format_duration, parse_duration
from app.errors import BadInput
from app.understand.expression import LONGEST
from app.understand.expression import parse as parse_expression

MOST = 1000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `parse` turns its text into a value or raises ValueError with a sentence."""

    name: str
    description: str
    parse: Callable[[str], Any]
    schema: Mapping[str, Any]
    default: Any = None
    required: bool = False

    def read(self, args: Mapping[str, str]) -> Any:
        """The value in these arguments, or the default. Raises BadInput naming the parameter."""
        text = args.get(self.name)
        if text is None or (text == "" and not self.required):
            if self.required:
                raise BadInput(f"The parameter {self.name} is needed.", field=self.name)
            return self.default
        try:
            return self.parse(text)
        except (ValueError, OverflowError) as error:
            raise BadInput(f"{self.name}: {error}", field=self.name) from error

    def described(self) -> dict[str, Any]:
        """The parameter as OpenAPI says it."""
        schema = dict(self.schema)
        if self.default is not None:
            value = self.default
            schema["default"] = format_duration(value) if isinstance(value, timedelta) else value
        return {
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.description,
            "schema": schema,
        }


def text(name: str, description: str, *, required: bool = False, longest: int = 1024) -> Parameter:
    """Any words; control characters are refused."""
    schema = {"type": "string", "maxLength": longest, "minLength": 1 if required else 0}

    def parse(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"is longer than {longest} characters")
        if not value and required:
            raise ValueError("must not be empty")
        if any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in value):
            raise ValueError("holds control characters")
        return value

    return Parameter(name, description, parse, schema, required=required)


def expression(name: str, description: str) -> Parameter:
    """A find or hide expression; an error names the column and what was expected there."""
    schema = {"type": "string", "maxLength": LONGEST, "examples": ["checkout err > 5%"]}

    def parse(value: str) -> str:
        parse_expression(value)
        return value

    return Parameter(name, description, parse, schema)


def flag(name: str, description: str) -> Parameter:
    """Yes or no."""
    words = {"1": True, "true": True, "0": False, "false": False}

    def parse(value: str) -> bool:
        if value not in words:
            raise ValueError("must be true or false")
        return words[value]

    return Parameter(name, description, parse, {"type": "boolean"}, default=False)


def choice(name: str, description: str, choices: tuple[str, ...], default: str | None = None) -> Parameter:
    """One of a few words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return Parameter(name, description, parse, {"type": "string", "enum": list(choices)}, default)


def integer(name: str, description: str, default: int | None, low: int, high: int) -> Parameter:
    """A whole number within bounds."""

    def parse(value: str) -> int:
        if not (value.lstrip("-").isascii() and value.lstrip("-").isdigit() and len(value) < 19):
            raise ValueError("must be a whole number")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must be between {low} and {high}")
        return number

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(name, description, parse, schema, default)


def duration(
    name: str, description: str, default: timedelta | None, low: timedelta, high: timedelta
) -> Parameter:
    """A Prometheus duration within bounds."""

    def parse(value: str) -> timedelta:
        length = parse_duration(value)
        if not low <= length <= high:
            raise ValueError(f"must be between {format_duration(low)} and {format_duration(high)}")
        return length

    schema = {"type": "string", "format": "prometheus-duration", "examples": ["5m"]}
    return Parameter(name, description, parse, schema, default)


def moment(name: str, description: str) -> Parameter:
    """A time: RFC 3339, or Unix seconds."""
    schema = {"type": "string", "format": "date-time", "examples": ["2026-11-23T10:00:00Z"]}
    return Parameter(name, description, parse_moment, schema)


def parse_moment(value: str) -> datetime:
    """An RFC 3339 time with its zone (a bare date-time is UTC), or Unix seconds. Raises ValueError."""
    try:
        if value.replace(".", "", 1).isascii() and value.replace(".", "", 1).isdigit():
            found = datetime.fromtimestamp(float(value), UTC)
        else:
            found = datetime.fromisoformat(value.replace(" ", "+"))
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError("is not a time such as 2026-11-23T10:00:00Z") from error
    if not 1970 <= found.year <= 9000:  # windows are subtracted from it, which must stay within the calendar
        raise ValueError("is outside the calendar")
    return found


LIMIT = integer("limit", "How many items at most.", 100, 1, MOST)
CURSOR = text("cursor", "Where to go on: `next_cursor` of the page before.", longest=2048)
CLUSTER = text("cluster", "Only this cluster.")
NAMESPACE = text("namespace", "Only this namespace.")
AT = moment("at", "The fleet as it was at this time.")
FROM = moment("from", "Start of the stretch; an hour before `to` if absent.")
TO = moment("to", "End of the stretch; now if absent.")
