"""What a trace says in one sentence, and the names of its spans and of those they call."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from app.model.span import Span
from app.model.trace import SpanKind
from app.understand.waterfall import PEER, Row, RowKind, Waterfall

_LONGEST = 80
_STATUS = (
    "http.response.status_code",
    "http.status_code",
    "rpc.grpc.status_code",
    "rpc.response.status_code",
)


def answer(found: Waterfall, length: Callable[[float], str]) -> str:
    """What went wrong and where the time went; `length` writes a duration in seconds."""
    whole = length(found.duration)
    wait = _wait(found, length)
    failed = found.row(found.failed_at)
    if failed is not None and failed.span is not None:
        sentence = f"failed in {service_name(failed.span)}: {failure(failed.span)}"
        return f"{sentence}; {wait}" if wait else f"{sentence}; it took {whole}"
    return f"took {whole}; {wait}" if wait else f"took {whole}"


def failure(span: Span) -> str:
    """What failed and how: name, status, message of the exception or of the status."""
    parts = [_short(span.name) or "a span without a name", *filter(None, [status(span)])]
    thrown = [one.attributes for one in span.events if one.name == "exception"][-1:]
    told = [
        f"{one.get('exception.type', '')}: {one.get('exception.message', '')}".strip(": ") for one in thrown
    ]
    told = [text for text in (*told, span.status_message) if text][:1]
    return ", ".join([*parts, *map(_short, told)])


def status(span: Span) -> str:
    """The status code that a span tells, "" = none."""
    return next((_short(str(span.attributes[key])) for key in _STATUS if key in span.attributes), "")


def service_name(span: Span) -> str:
    """The service of a span, or a word for none."""
    return _short(span.service) or "an unnamed service"


def peer_name(span: Span) -> str:
    """Whom a calling span says that it calls; "" when it does not say."""
    told = span.attributes
    found = next((str(told[key]) for key in PEER if told.get(key)), "")
    if found:
        return _short(found)
    try:
        return _short(urlsplit(str(told.get("url.full") or told.get("http.url") or "")).hostname or "")
    except ValueError:
        return ""


def label(row: Row) -> str:
    """The name of a row."""
    if row.kind is RowKind.MISSING:
        return "parent not received"
    name = _short(row.span.name) if row.span is not None else ""
    return f"{row.count} more {name or 'without a name'}" if row.kind is RowKind.MORE else name or "(no name)"


def shares(found: Waterfall, most: int = 4) -> list[tuple[str, float]]:
    """Services and the seconds of the critical path that each spent by itself, the largest first."""
    spent: dict[str, float] = {}
    for row in found.rows:
        if row.critical and row.span is not None and row.kind is RowKind.SPAN:
            name = service_name(row.span)
            spent[name] = spent.get(name, 0.0) + row.critical
    return sorted(spent.items(), key=lambda one: -one[1])[:most]


def callee(found: Waterfall, row: Row) -> str:
    """Who answered the call of a row: the service of its server span, else whom the caller named."""
    if row.span is None:
        return ""
    below = next(
        (one for one in found.rows if one.span is not None and one.span.parent_id == row.span.span_id), None
    )
    if below is not None and below.span is not None and _answers(below.span, row.span):
        return service_name(below.span)
    return peer_name(row.span)


def _answers(span: Span, call: Span) -> bool:
    return span.kind in (SpanKind.SERVER, SpanKind.CONSUMER) and span.service != call.service


def _wait(found: Waterfall, length: Callable[[float], str]) -> str:
    """Where most of the time went: a call, or else the service that was busy longest."""
    whole, row = length(found.duration), found.row(found.waited_at)
    if row is not None and row.span is not None:
        caller, called = service_name(row.span), callee(found, row)
        if called:
            return f"{length(found.waited)} of {whole} were spent waiting for {caller} → {called}"
    busy = shares(found, 1)
    return (
        f"{length(busy[0][1])} of {whole} were spent in {busy[0][0]} itself"
        if busy and busy[0][1] > 0
        else ""
    )


def _short(text: str) -> str:
    clean = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST]).split())
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
