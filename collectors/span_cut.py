"""A few traces out of a large OTLP body: what is not wanted is cut away undecoded.

The small body that is left holds resources and spans as they were sent, and goes through the reader of whole spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from app.model.span import Span
from collectors.otlp_body import JSON
from collectors.otlp_wire import parse_span, status_is_error
from collectors.span_outline import Outline, outline
from collectors.span_whole import whole_from_otlp

Cut = Callable[[bytes, Mapping[int, int]], list[tuple[str, Span]]]  # as `spans_of`, of one kind of body

_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SPANS = 0x0A, 0x0A, 0x12, 0x12
_TRACE_HEAD = b"\x0a\x10"  # field 1, sixteen bytes: how every encoder begins a span
_LOW = slice(8, 16)


def spans_of(body: bytes, content_type: str, traces: Mapping[int, int]) -> list[tuple[str, Span]]:
    """(trace id, span) of the spans of some traces: low half of the id -> how many of its spans at most.

    Of more, failed and long spans are taken. Raises OtlpError.
    """
    most = {trace.to_bytes(8, "little"): count for trace, count in traces.items()}
    if content_type.partition(";")[0].strip().lower() == JSON:
        small = _json(body, most)
    else:
        places = outline(body)
        small = body if places is None else _protobuf(body, places, most)
    whole = whole_from_otlp(small, content_type)
    return [(trace, span) for trace, span in whole if bytes.fromhex(trace)[_LOW] in most]


def _protobuf(body: bytes, places: Outline, most: Mapping[bytes, int]) -> bytes:
    chosen = _chosen(body, places, most)
    made, first = bytearray(), 0
    for resource, count in zip(places.resources, places.counts, strict=True):
        mine = (
            body[places.begins[at] : places.ends[at]] for at in range(first, first + count) if at in chosen
        )
        spans = b"".join(_field(_SPANS, wire) for wire in mine)
        first += count
        if spans:
            made += _field(_RESOURCE_SPANS, _field(_RESOURCE, resource) + _field(_SCOPE_SPANS, spans))
    return bytes(made)


def _chosen(body: bytes, places: Outline, most: Mapping[bytes, int]) -> set[int]:
    """Numbers of the spans to keep."""
    found: dict[bytes, list[int]] = {trace: [] for trace in most}
    for at, (begin, end) in enumerate(zip(places.begins, places.ends, strict=True)):
        usual = body[begin : begin + 2] == _TRACE_HEAD
        trace = body[begin + 10 : begin + 18] if usual else _trace(body[begin:end])[_LOW]
        if trace in found:
            found[trace].append(at)
    for trace, spans in found.items():
        if len(spans) > most[trace]:
            spans.sort(key=lambda at: _weight(body[places.begins[at] : places.ends[at]]), reverse=True)
    return {at for trace, spans in found.items() for at in spans[: most[trace]]}


def _weight(wire: bytes) -> tuple[bool, bool, int]:
    span = parse_span(wire)
    return not span.parent_span_id, bool(span.status) and status_is_error(span.status), span.end - span.start


def _trace(wire: bytes) -> bytes:
    found: bytes = parse_span(wire).trace_id
    return found


def _field(tag: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    head, size = bytearray([tag]), len(content)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + content


def _json(body: bytes, most: Mapping[bytes, int]) -> bytes:
    """The same request with fewer spans, in whatever spelling it came."""
    groups = msgspec.json.decode(body).get("resourceSpans") or []
    left = dict(most)
    for group in groups:
        for scope in group.get("scopeSpans") or []:
            scope["spans"] = [one for one in scope.get("spans") or [] if _takes(left, _hex(one)[_LOW])]
    return msgspec.json.encode({"resourceSpans": [group for group in groups if any(_filled(group))]})


def _takes(left: dict[bytes, int], trace: bytes) -> bool:
    """Whether there is room for one more span of a trace."""
    left[trace] = left.get(trace, 0) - 1
    return left[trace] >= 0


def _hex(span: dict[str, Any]) -> bytes:
    try:
        return bytes.fromhex(span.get("traceId") or "")
    except (ValueError, TypeError):
        return b""


def _filled(group: dict[str, Any]) -> Iterator[bool]:
    return (bool(scope.get("spans")) for scope in group.get("scopeSpans") or [])
