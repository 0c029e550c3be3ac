"""Single spans behind the columns, for the few whose attributes or links matter."""

from __future__ import annotations

from typing import Any, Protocol

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

Picked = tuple[Any, ...]  # attributes of one span as its rows keep them; hashable


class Rows(Protocol):
    """The parsed spans behind the columns."""

    def pick(self, row: int, wanted: Wanted) -> Picked:
        """The wanted attributes of a span, undecoded: equal picks hold equal attributes."""
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

    def pick(self, row: int, wanted: Wanted) -> Picked:
        """The wanted attributes of a span, undecoded."""
        return proto_pick(self.spans[row].attributes, wanted)

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        return proto_attributes(picked)

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link."""
        return proto_links(self.spans[row].links)


class WireRows:
    """Spans of a protobuf body that lie there undecoded."""

    def __init__(self, body: bytes, begins: list[int], ends: list[int]) -> None:
        self._body, self._begins, self._ends = body, begins, ends

    def wire(self, row: int) -> bytes:
        """One span, undecoded."""
        return self._body[self._begins[row] : self._ends[row]]

    def pick(self, row: int, wanted: Wanted) -> Picked:
        """The wanted attributes of a span, undecoded."""
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

    def pick(self, row: int, wanted: Wanted) -> Picked:
        """The wanted attributes of a span; JSON has to be decoded to find them."""
        return tuple(json_attributes(self.spans[row].attributes, wanted).items())

    def attributes(self, picked: Picked) -> dict[str, str]:
        """Picked attributes as text."""
        return dict(picked)

    def links(self, row: int) -> list[tuple[bytes, bytes]]:
        """(trace id, span id) of each link."""
        return json_links(self.spans[row].links)
