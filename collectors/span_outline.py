"""Where the spans of an OTLP protobuf body lie, without decoding them.

Only the three layers around spans (request, resource, scope) are walked, in the shape every SDK and collector
writes. Whatever else is valid protobuf gets None, and the caller decodes the body in full.
Source: protobuf encoding guide; field numbers of opentelemetry-proto 1.x.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A  # tags of length-delimited fields 1 to 3


@dataclass(slots=True)
class Outline:
    """Places in a body: `begins[i]:ends[i]` is span i; `resources` are undecoded, `counts` their spans."""

    resources: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


class _Unusual(Exception):
    """A field that nobody writes here, or a length that leads out of its message."""


def outline(body: bytes) -> Outline | None:
    """The places of all spans, or None where a full decoder has to look."""
    found, at, end = Outline(), 0, len(body)
    try:
        while at < end:
            begin, after = _field(body, at, end, _FIRST)
            _group(body, begin, after, found)
            at = after
    except (_Unusual, IndexError):
        return None
    return found


def _group(body: bytes, at: int, end: int, found: Outline) -> None:
    """One ResourceSpans: resource 1 (at most once), scope_spans 2, schema_url 3."""
    resource, before = None, len(found.begins)
    while at < end:
        tag = body[at]
        begin, after = _field(body, at, end, tag)
        if tag == _SECOND:
            _scope(body, begin, after, found)
        elif tag == _FIRST and resource is None:
            resource = body[begin:after]
        elif tag != _THIRD:
            raise _Unusual
        at = after
    found.resources.append(resource or b"")
    found.counts.append(len(found.begins) - before)


def _scope(body: bytes, at: int, end: int, found: Outline) -> None:
    """One ScopeSpans: scope 1, spans 2, schema_url 3. This loop runs once per span: its lengths are read inline."""
    begins, ends = found.begins.append, found.ends.append
    while at < end:
        tag, size, begin = body[at], body[at + 1], at + 2
        if size > 127:
            high = body[begin]
            begin += 1
            size += (high << 7) - 128
            if high > 127:
                begin, at = _field(body, at, end, tag)
                size = at - begin
        at = begin + size
        if tag == _SECOND:
            begins(begin)
            ends(at)
        elif tag not in (_FIRST, _THIRD):
            raise _Unusual
    if at != end:
        raise _Unusual


def _field(body: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Begin and end of the content of a length-delimited field that must carry `tag`."""
    if body[at] != tag or tag not in (_FIRST, _SECOND, _THIRD):
        raise _Unusual
    size = shift = 0
    for begin in range(at + 1, at + 5):  # four bytes of length are 256 MiB
        size |= (body[begin] & 127) << shift
        shift += 7
        if body[begin] < 128:
            if begin + 1 + size > end:
                raise _Unusual
            return begin + 1, begin + 1 + size
    raise _Unusual
