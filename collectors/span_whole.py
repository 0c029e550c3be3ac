"""Spans with everything they carry, for the few traces that are read by people.

Counting reads columns (`span_columns`); this is the slow and complete way, and every foreign text is capped here.
Source: opentelemetry-proto 1.x; OTLP 1.9 for JSON (ids in hex, numeric kinds, 64-bit integers as text).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from google.protobuf.message import DecodeError

from app.model.span import Attributes, Span, SpanEvent, SpanLink, Value
from app.model.trace import SpanKind
from collectors.otlp_body import JSON, PROTOBUF, Malformed
from collectors.otlp_wire import BOOL, BYTES, DOUBLE, FIXED64, INT32, INT64, Schema, messages

MOST_TEXT = 4096  # characters of one value: stack traces of 3.7 kB are usual
MOST_NAME = 256
MOST_ATTRIBUTES = 128  # what SDKs stop at
MOST_EVENTS = 64
MOST_LINKS = 64
_MOST_ITEMS = 32  # of a list

# Scalars of AnyValue are declared repeated: the wire is the same, and "not there" differs from 0, false and "".
_SCHEMA: Schema = {
    "Request": (("resource_spans", 1, "ResourceSpans", True),),
    "ResourceSpans": (("resource", 1, "Resource", False), ("scope_spans", 2, "ScopeSpans", True)),
    "ScopeSpans": (("spans", 2, "Span", True),),
    "Resource": (("attributes", 1, "KeyValue", True),),
    "Span": (
        ("trace_id", 1, BYTES, False),
        ("span_id", 2, BYTES, False),
        ("parent_span_id", 4, BYTES, False),
        ("name", 5, BYTES, False),
        ("kind", 6, INT32, False),
        ("start", 7, FIXED64, False),
        ("end", 8, FIXED64, False),
        ("attributes", 9, "KeyValue", True),
        ("events", 11, "Event", True),
        ("links", 13, "Link", True),
        ("status", 15, "Status", False),
    ),
    "Event": (("at", 1, FIXED64, False), ("name", 2, BYTES, False), ("attributes", 3, "KeyValue", True)),
    "Link": (("trace_id", 1, BYTES, False), ("span_id", 2, BYTES, False)),
    "Status": (("message", 2, BYTES, False), ("code", 3, INT32, False)),
    "KeyValue": (("key", 1, BYTES, False), ("value", 2, "AnyValue", False)),
    "AnyValue": (
        ("text", 1, BYTES, True),
        ("truth", 2, BOOL, True),
        ("whole", 3, INT64, True),
        ("real", 4, DOUBLE, True),
        ("array", 5, "Array", True),
        ("blob", 7, BYTES, True),
    ),
    "Array": (("values", 1, "AnyValue", True),),
}
_PROTO = messages(_SCHEMA)
_json = msgspec.json.Decoder(dict[str, Any])
_STATUS: dict[int, Literal["unset", "ok", "error"]] = {1: "ok", 2: "error"}


def whole_from_otlp(body: bytes, content_type: str = PROTOBUF) -> list[tuple[str, Span]]:
    """(trace id, span) of an OTLP trace request, of Tempo's trace by id too: both are the same on the wire.

    Spans without a valid id are left out. Raises Malformed when the body is not what `content_type` says.
    """
    if content_type.partition(";")[0].strip().lower() == JSON:
        return _of_json(body)
    try:
        request = _PROTO["Request"].FromString(body)
    except DecodeError as error:
        raise Malformed("the body is not an OTLP trace request in protobuf") from error
    found = []
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        spans = (span for scope in group.scope_spans for span in scope.spans)
        found += [
            _of_proto(span, resource) for span in spans if len(span.trace_id) == 16 and len(span.span_id) == 8
        ]
    return found


def _of_proto(span: Any, resource: Attributes) -> tuple[str, Span]:
    return span.trace_id.hex(), make_span(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=_text(span.name),
        kind=span.kind,
        start=span.start,
        end=span.end,
        code=span.status.code,
        message=_text(span.status.message),
        attributes=_attributes(span.attributes),
        resource=resource,
        events=[
            SpanEvent(_text(one.name)[:MOST_NAME], min(one.at, _LAST), _attributes(one.attributes))
            for one in span.events[:MOST_EVENTS]
        ],
        links=[(one.trace_id.hex(), one.span_id.hex()) for one in span.links[:MOST_LINKS]],
    )


_LAST = 2**63 - 1


def make_span(
    *,
    span_id: str,
    parent_id: str,
    name: str,
    kind: int,
    start: int,
    end: int,
    code: int,
    message: str,
    attributes: Attributes,
    resource: Attributes,
    events: Iterable[SpanEvent] = (),
    links: Iterable[tuple[str, str]] = (),
) -> Span:
    """A span out of decoded parts, capped; `code` is OTLP's status code, times are ns since the epoch."""
    begin = min(max(start, 0), _LAST)
    return Span(
        span_id=span_id,
        parent_id="" if parent_id == "0" * 16 else parent_id,
        name=name[:MOST_NAME],
        kind=SpanKind(kind) if 0 <= kind <= SpanKind.CONSUMER else SpanKind.UNSPECIFIED,
        service=str(resource.get("service.name", ""))[:MOST_NAME],
        namespace=str(resource.get("k8s.namespace.name") or resource.get("service.namespace", ""))[
            :MOST_NAME
        ],
        start=begin,
        duration=max(min(end, _LAST) - begin, 0),
        status=_STATUS.get(code, "unset"),
        status_message=message[:MOST_TEXT],
        attributes=attributes,
        resource=resource,
        events=tuple(events),
        links=tuple(
            SpanLink(trace, linked) for trace, linked in links if len(trace) == 32 and len(linked) == 16
        ),
    )


def capped(value: Any) -> Value | None:
    """A decoded value as an attribute may hold it; None for what is no scalar or list."""
    if isinstance(value, str):
        return value[:MOST_TEXT]
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        return tuple(str(one)[:MOST_TEXT] for one in value[:_MOST_ITEMS])
    return None


def _attributes(pairs: Any) -> Attributes:
    found: Attributes = {}
    for pair in pairs[:MOST_ATTRIBUTES]:
        value = capped(_value(pair.value))
        if value is not None:
            found.setdefault(_text(pair.key)[:MOST_NAME], value)
    return found


def _value(any_value: Any) -> Any:
    if any_value.text:
        return _text(any_value.text[0])
    for name in ("truth", "whole", "real"):
        if held := getattr(any_value, name):
            return held[0]
    if any_value.array:
        return [_value(one) for one in any_value.array[0].values[:_MOST_ITEMS]]
    return f"{len(any_value.blob[0])} bytes" if any_value.blob else None


def _text(raw: bytes) -> str:
    return raw[: 4 * MOST_TEXT].decode("utf-8", "replace")


# JSON ------------------------------------------------------------------------------------------------------------


def _of_json(body: bytes) -> list[tuple[str, Span]]:
    found = []
    try:
        for group in _json.decode(body).get("resourceSpans") or []:
            resource = _json_attributes((group.get("resource") or {}).get("attributes"))
            for scope in group.get("scopeSpans") or []:
                found += [_of_json_span(span, resource) for span in scope.get("spans") or []]
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:
        raise Malformed(f"the body is not an OTLP trace request in JSON: {str(error)[:200]}") from error
    return [(trace, span) for trace, span in found if len(trace) == 32 and len(span.span_id) == 16]


def _of_json_span(span: dict[str, Any], resource: Attributes) -> tuple[str, Span]:
    status = span.get("status") or {}
    return str(span.get("traceId") or "").lower(), make_span(
        span_id=str(span.get("spanId") or "").lower(),
        parent_id=str(span.get("parentSpanId") or "").lower()[:16],
        name=str(span.get("name") or ""),
        kind=int(span.get("kind") or 0),
        start=int(span.get("startTimeUnixNano") or 0),
        end=int(span.get("endTimeUnixNano") or 0),
        code=int(status.get("code") or 0),
        message=str(status.get("message") or ""),
        attributes=_json_attributes(span.get("attributes")),
        resource=resource,
        events=[
            SpanEvent(
                str(one.get("name") or "")[:MOST_NAME],
                min(max(int(one.get("timeUnixNano") or 0), 0), _LAST),
                _json_attributes(one.get("attributes")),
            )
            for one in (span.get("events") or [])[:MOST_EVENTS]
        ],
        links=[
            (str(one.get("traceId")).lower(), str(one.get("spanId")).lower())
            for one in (span.get("links") or [])[:MOST_LINKS]
        ],
    )


def _json_attributes(pairs: Any) -> Attributes:
    found: Attributes = {}
    for pair in (pairs or [])[:MOST_ATTRIBUTES]:
        value = capped(_json_value(pair.get("value") or {}))
        if value is not None:
            found.setdefault(str(pair.get("key"))[:MOST_NAME], value)
    return found


def _json_value(any_value: dict[str, Any]) -> Any:
    if "intValue" in any_value:
        return int(any_value["intValue"])
    if "arrayValue" in any_value:
        values = (any_value["arrayValue"] or {}).get("values") or []
        return [_json_value(one or {}) for one in values[:_MOST_ITEMS]]
    for name in ("stringValue", "boolValue", "doubleValue"):
        if name in any_value:
            return any_value[name]
    return None
