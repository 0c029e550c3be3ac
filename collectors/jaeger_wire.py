"""Jaeger's query API on the wire: answers to columns for counting, and to whole spans for reading.

Tags stay undecoded until a span needs them; kind, error and tracestate are found by their text in the form all
known servers write, any other form is decoded. A tag `error` says something by its value, not by being there:
VictoriaTraces writes "unset" into every span. Source: jaeger-idl `model/json/model.go`; OTel "OTLP to Jaeger".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.errors import SourceNonsense
from app.model.span import Attributes, Span, SpanEvent
from collectors.span_whole import MOST_ATTRIBUTES, MOST_EVENTS, MOST_LINKS, MOST_NAME, capped, make_span


class Tag(msgspec.Struct, gc=False):
    """One tag; its value may be text whatever its type says."""

    key: str = ""
    value: Any = None


class Log(msgspec.Struct, gc=False):
    """An event of a span."""

    timestamp: int = 0
    fields: list[Tag] | None = None


class Reference(
    msgspec.Struct, gc=False, rename={"kind": "refType", "trace_id": "traceID", "span_id": "spanID"}
):
    """The parent (CHILD_OF) or another span."""

    kind: str = ""
    trace_id: str = ""
    span_id: str = ""


class Process(msgspec.Struct, gc=False, rename="camel"):
    """Who sent spans."""

    service_name: str = ""
    tags: msgspec.Raw = msgspec.Raw(b"[]")


class JaegerSpan(
    msgspec.Struct,
    gc=False,
    rename={
        "trace_id": "traceID",
        "span_id": "spanID",
        "name": "operationName",
        "start": "startTime",
        "process": "processID",
    },
):
    """A span; start and duration in microseconds."""

    span_id: str
    trace_id: str = ""
    name: str = ""
    references: list[Reference] | None = None
    start: int = 0
    duration: int = 0
    tags: msgspec.Raw = msgspec.Raw(b"[]")
    logs: msgspec.Raw = msgspec.Raw(b"[]")
    process: str = ""

    @property
    def parent(self) -> str:
        """The id of the parent as sent: the first CHILD_OF in this trace, else the first reference in it."""
        if not self.references:
            return ""
        first = self.references[0]
        if first.kind == "CHILD_OF" and first.trace_id == self.trace_id:
            return first.span_id
        own = [one for one in self.references if one.trace_id == self.trace_id]
        child = next((one for one in own if one.kind == "CHILD_OF"), own[0] if own else None)
        return child.span_id if child is not None else ""


class JaegerTrace(msgspec.Struct, gc=False, rename={"trace_id": "traceID"}):
    """One trace, possibly without some of its spans."""

    trace_id: str = ""
    spans: list[JaegerSpan] | None = None
    processes: dict[str, Process] | None = None

    @property
    def start(self) -> int:
        """When its first known span began, in microseconds."""
        return min((span.start for span in self.spans or ()), default=0)

    @property
    def last(self) -> int:
        """When its last known span began, in microseconds."""
        return max((span.start for span in self.spans or ()), default=0)


class _Answer(msgspec.Struct):
    data: list[JaegerTrace] | None = None
    errors: Any = None


class _Names(msgspec.Struct):
    data: list[str] | None = None


_answer, _names = msgspec.json.Decoder(_Answer), msgspec.json.Decoder(_Names)
_written = msgspec.json.Decoder(list[JaegerTrace])
_tags, _logs = msgspec.json.Decoder(list[Tag] | None), msgspec.json.Decoder(list[Log] | None)


def traces_of(body: bytes, who: str) -> list[JaegerTrace]:
    """The traces of an answer, without those that have no spans. Raises SourceNonsense."""
    try:
        return [one for one in _answer.decode(body).data or [] if one.spans]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceNonsense(
            f"{who} answered something that is no list of traces: {str(error)[:200]}"
        ) from error


def names_of(body: bytes, who: str) -> list[str]:
    """The services of an answer. Raises SourceNonsense."""
    try:
        return _names.decode(body).data or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceNonsense(
            f"{who} answered something that is no list of services: {str(error)[:200]}"
        ) from error


def decoded(raw: msgspec.Raw | bytes) -> list[Tag]:
    """The tags in undecoded text; none if it holds no tags."""
    try:
        return _tags.decode(raw) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


_HEX = frozenset("0123456789abcdef")
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_TELLING = frozenset({"span.kind", "error", "otel.status_code", "w3c.tracestate"})
_USUAL = re.compile(
    rb'"key"\s*:\s*"(span\.kind|error|otel\.status_code|w3c\.tracestate)"\s*,(?:\s*"type"\s*:\s*"\w*"\s*,)?'
    rb'\s*"value"\s*:\s*(?:"([^"\\]*)"|(true))'
)


def telling(tags: msgspec.Raw) -> dict[str, str]:
    """The tags of a span that say its kind, its error and its tracestate, as text."""
    found = {
        key.decode(): (text or true).decode("utf-8", "replace") for key, text, true in _USUAL.findall(tags)
    }
    if "span.kind" in found:
        return found
    return {one.key: text_of(one.value) for one in decoded(tags) if one.key in _TELLING}


def kind_of(told: dict[str, str]) -> int:
    """OTLP's number of a span's kind; 0 = not told."""
    return _KINDS.get(told.get("span.kind", "").lower(), 0)


def failed(told: dict[str, str]) -> bool:
    """Whether the tags say that the span ended in an error; the mere presence of `error` does not."""
    return told.get("error", "").lower() == "true" or told.get("otel.status_code", "") == "ERROR"


def text_of(value: Any) -> str:
    """The value of a tag as text; "" for false and for what is no scalar."""
    if isinstance(value, str):
        return value[:2048]
    if isinstance(value, bool):
        return "true" if value else ""
    return str(value) if isinstance(value, int | float) else ""


def trace_id_of(text: str) -> str:
    """An id as 32 lower-case hex digits: old Jaegers and Tempo leave leading zeros out."""
    return text.lower().rjust(32, "0")


def legible(trace_id: str) -> bool:
    """Whether a text is a trace id of 32 lower-case hex digits."""
    return len(trace_id) == 32 and set(trace_id) <= _HEX


def low_half(trace_id: str) -> int:
    """The low half of a trace id of 32 hex digits, as `Batch.trace` holds it."""
    return int.from_bytes(bytes.fromhex(trace_id[16:]), "little")


def span_id_of(text: str) -> str:
    """An id as 16 lower-case hex digits; "" stays "" (no parent)."""
    return text.lower().rjust(16, "0") if text else ""


def whole_spans(trace: JaegerTrace, most: int) -> list[Span]:
    """The first `most` spans of a trace with everything they carry."""
    processes = {key: _resource(one) for key, one in (trace.processes or {}).items()}
    return [_whole(one, processes.get(one.process, {})) for one in (trace.spans or [])[:most]]


def written(traces: Sequence[JaegerTrace]) -> bytes:
    """Traces as they came, for `some_spans`."""
    return msgspec.json.encode(traces)


def some_spans(body: bytes, traces: Mapping[int, int]) -> list[tuple[str, Span]]:
    """(trace id, span) of some of the traces written: low half of the id -> how many of its spans at most."""
    found = []
    for trace in _written.decode(body):
        trace_id = trace_id_of(trace.trace_id)
        most = traces.get(low_half(trace_id), 0)
        found += [(trace_id, span) for span in whole_spans(trace, most)]
    return found


def _whole(span: JaegerSpan, resource: Attributes) -> Span:
    told, tags = telling(span.tags), decoded(span.tags)
    message = next((text_of(tag.value) for tag in tags if tag.key == "otel.status_description"), "")
    ok = any(tag.key == "otel.status_code" and tag.value == "OK" for tag in tags)
    parent = span.parent
    others = [one for one in span.references or () if one.span_id != parent]
    return make_span(
        span_id=span_id_of(span.span_id),
        parent_id=span_id_of(parent),
        name=span.name,
        kind=kind_of(told),
        start=span.start * 1000,
        end=(span.start + span.duration) * 1000,
        code=2 if failed(told) else int(ok),
        message=message,
        attributes=_attributes([tag for tag in tags if tag.key not in ("span.kind", "error")]),
        resource=resource,
        events=_events(span.logs),
        links=[(trace_id_of(one.trace_id), span_id_of(one.span_id)) for one in others[:MOST_LINKS]],
    )


def _resource(process: Process) -> Attributes:
    return {**_attributes(decoded(process.tags)), "service.name": process.service_name[:MOST_NAME]}


def _attributes(tags: Sequence[Tag]) -> Attributes:
    found: Attributes = {}
    for tag in tags[:MOST_ATTRIBUTES]:
        value = capped(tag.value)
        if value is not None:
            found.setdefault(tag.key[:MOST_NAME], value)
    return found


def _events(raw: msgspec.Raw) -> list[SpanEvent]:
    try:
        logs = _logs.decode(raw) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    found = []
    for log in logs[:MOST_EVENTS]:
        fields = _attributes(log.fields or [])
        name = str(fields.pop("event", None) or fields.pop("message", "") or "log")
        found.append(SpanEvent(name[:MOST_NAME], max(log.timestamp, 0) * 1000, fields))
    return found
