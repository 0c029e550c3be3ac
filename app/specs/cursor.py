"""A place in a YAML document, and the typed values to be read there; what is wrong is collected, never raised."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import yaml

from app.config import parse_duration
from app.errors import Problem

Value = TypeVar("Value")


@dataclass(slots=True)
class Findings:
    """What a file holds that is wrong (`problems`), or was understood in a way worth knowing (`notes`)."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A node, its path from the document's root, and where findings go."""

    node: yaml.Node
    path: str
    findings: Findings

    @property
    def line(self) -> int:
        """The line it begins at, from 1."""
        return int(self.node.start_mark.line) + 1

    def wrong(self, message: str) -> None:
        """Note a problem of this place."""
        self.findings.problems.append(Problem(self._where(), message))

    def note(self, message: str) -> None:
        """Note something that was understood, but should be known."""
        self.findings.notes.append(Problem(self._where(), message))

    def _where(self) -> str:
        return f"{self.findings.file}:{self.line}: {self.path or 'document'}"

    def fields(self, known: Iterable[str] | None = None) -> dict[str, Cursor]:
        """The entries of a mapping by key; keys outside `known` are problems. Anything else is one, too."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("must be a mapping of names to values")
            return {}
        found: dict[str, Cursor] = {}
        for key, value in self.node.value:
            name = str(key.value)
            place = Cursor(value, f"{self.path}.{name}" if self.path else name, self.findings)
            if name in found:
                place.wrong("is there twice")
            found[name] = place
        for name in found if known is not None else ():
            if name not in (wanted := list(known or ())):
                close = difflib.get_close_matches(name, wanted, 1)
                found[name].wrong("is not known here" + (f"; did you mean {close[0]}?" if close else ""))
        return {name: place for name, place in found.items() if not place.empty}

    @property
    def mapping(self) -> bool:
        """Whether names with values stand there."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def empty(self) -> bool:
        """Whether nothing stands there."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag.endswith(":null")

    def items(self) -> Iterator[Cursor]:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("must be a list")
            return
        for place, node in enumerate(self.node.value):
            yield Cursor(node, f"{self.path}[{place}]", self.findings)

    def text(self) -> str:
        """A text or number as it was written; "" for anything else, which is a problem."""
        if isinstance(self.node, yaml.ScalarNode):
            return str(self.node.value).strip()
        self.wrong("must be a text")
        return ""

    def flag(self) -> bool:
        """true or false; false for anything else, which is a problem."""
        text = self.text().lower()
        if text not in ("true", "false"):
            self.wrong(f"{text!r} is neither true nor false")
        return text == "true"

    def number(self) -> float | None:
        """A finite number; None for anything else, which is a problem."""
        text = self.text()
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value - value != 0:  # neither a number nor finite
            self.wrong(f"{text!r} is not a number")
            return None
        return value

    def duration(self) -> timedelta | None:
        """A duration as Prometheus writes them; None for anything else, which is a problem."""
        text = self.text()
        try:
            length = parse_duration(text)
        except ValueError as error:
            self.wrong(str(error))
            return None
        if length <= timedelta(0):
            self.wrong("must be more than zero")
            return None
        return length

    def texts(self) -> dict[str, str]:
        """A mapping of names to texts."""
        return {name: place.text() for name, place in self.fields().items()}

    def one_of(self, *choices: str) -> str | None:
        """One of these words; None for anything else, which is a problem."""
        text = self.text()
        if text in choices:
            return text
        self.wrong(f"{text!r} is not one of {', '.join(choices)}")
        return None


def needed(fields: dict[str, Cursor], name: str, parent: Cursor) -> Cursor | None:
    """The entry of that name; its absence is a problem of the parent."""
    if name not in fields:
        parent.wrong(f"{name} is missing")
    return fields.get(name)
