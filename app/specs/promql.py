"""PromQL as it stands in files: is it valid, and is it a plain selector."""

from __future__ import annotations

import re
from dataclasses import dataclass

import promql_parser

from app.model.slo_spec import WINDOW
from app.specs.cursor import Cursor

_PLACEHOLDERS = re.compile(r"\{\{\s*\.window\s*\}\}|\$__window|\[\$?\{?window\}?\]")
_BOUND = re.compile(r'\ble\s*=\s*"([^"]*)"')
_TRIAL = "5m"


def query(place: Cursor, *, window: bool | None = None) -> str | None:
    """A query with its window written as WINDOW; None when it is no PromQL, which is a problem.

    `window`: True = a window must be there, False = it must be a plain selector, None = either.
    """
    written = place.text()
    text = _PLACEHOLDERS.sub(lambda found: f"[{WINDOW}]" if found[0].startswith("[") else WINDOW, written)
    if not text:
        place.wrong("is empty")
        return None
    if window and WINDOW not in text:
        place.wrong(f"holds no {WINDOW}: write rate(metric[{WINDOW}])")
        return None
    try:
        promql_parser.parse(text.replace(WINDOW, _TRIAL))
    except ValueError as error:
        place.wrong(f"is not PromQL: {error}")
        return None
    if WINDOW not in text and window is not True and selector(text) is None:
        place.wrong(f'must be a plain selector such as metric{{label="value"}}, or hold {WINDOW}')
        return None
    return text


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector taken apart: the metric and its matchers as (name, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def value(self, label: str) -> str | None:
        """What the label must be equal to; None without such a matcher."""
        return next((value for name, op, value in self.matchers if name == label and op == "="), None)


_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def selector(text: str) -> Selector | None:
    """A plain selector without offset, taken apart; None for any other expression."""
    try:
        found = promql_parser.parse(text)
    except ValueError:
        return None
    if not isinstance(found, promql_parser.VectorSelector):
        return None
    if found.offset is not None or found.at is not None or found.matchers.or_matchers:
        return None
    named = [(one.name, _OPS[str(one.op).rpartition(".")[2]], one.value) for one in found.matchers.matchers]
    metric = found.name or next((value for name, op, value in named if name == "__name__" and op == "="), "")
    return Selector(metric, tuple(one for one in named if one[0] != "__name__"))


def bound_of(place: Cursor) -> float | None:
    """The bound in seconds that a bucket is selected by (`le="0.3"`); None without one, which is a problem."""
    found = set(_BOUND.findall(place.text()))
    try:
        if len(found) == 1:
            return float(found.pop())
    except ValueError:
        pass
    place.wrong('needs one matcher le="…" with the bound in seconds')
    return None
