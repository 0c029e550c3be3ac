"""Single spans behind the columns, for the few whose attributes or links matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from collectors.otlp_wire import (
    JsonSpan,
    Wanted,
    json_attributes,
    json_links,
    parse_span,
    proto_attributes,
    proto_links,
    proto_pick,
)
from collectors.span_fields import I64
from collectors.span_pick import can_pick, pick

_FEW = 24  # a walk over many spans costs about as much for one of them as for this many
Picked = tuple[Any, ...]  # attributes of one span as its rows keep them; hashable


class Rows(Protocol):
    """The parsed spans behind the columns."""

    def pick(self, rows: Sequence[int], wanted: Wanted) -> list[Picked]:
        """The wanted attributes of some spans, undecoded: equal picks hold equal attributes."""
        ...

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        ...

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link of a span."""
        ...


class ProtoRows:
    """Spans of a protobuf body."""

    def __init__(self, spans: list[Any]) -> None:
        self.spans = spans

    def pick(self, rows: Sequence[int], wanted: Wanted) -> list[Picked]:
        """The wanted attributes of some spans, undecoded."""
        return [proto_pick(self.spans[row].attributes, wanted) for row in rows]

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        return proto_attributes(picked)

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link."""
        return proto_links(self.spans[row].links)


class WireRows:
    """Spans of a protobuf body that lie there undecoded. tails: behind their times, -1 = of unknown layout."""

    def __init__(self, body: bytes, begins: I64, ends: I64, tails: I64) -> None:
        self._body, self._begins, self._ends, self._tails = body, begins, ends, tails

    def wire(self, row: int) -> bytes:
        """One span, undecoded."""
        return self._body[int(self._begins[row]) : int(self._ends[row])]

    def pick(self, rows: Sequence[int], wanted: Wanted) -> list[Picked]:
        """The wanted attributes of some spans, undecoded."""
        if len(rows) < _FEW or not can_pick(wanted):
            return [self._pick(row, wanted) for row in rows]
        at = np.array(rows, np.int64)
        tails, ends = self._tails[at], self._ends[at]
        found: list[Picked] = [*pick(self._body, np.where(tails < 0, ends, tails), ends, wanted)]
        for place in np.flatnonzero(tails < 0).tolist():
            found[place] = self._pick(rows[place], wanted)
        return found

    def _pick(self, row: int, wanted: Wanted) -> Picked:
        return proto_pick(parse_span(self.wire(row)).attributes, wanted)

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        return proto_attributes(picked)

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link."""
        return proto_links(parse_span(self.wire(row)).links)


class JsonRows:
    """Spans of a JSON body."""

    def __init__(self, spans: list[JsonSpan]) -> None:
        self.spans = spans

    def pick(self, rows: Sequence[int], wanted: Wanted) -> list[Picked]:
        """The wanted attributes of some spans; JSON has to be decoded to find them."""
        return [tuple(json_attributes(self.spans[row].attributes, wanted).items()) for row in rows]

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        return dict(picked)

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link."""
        return json_links(self.spans[row].links)
