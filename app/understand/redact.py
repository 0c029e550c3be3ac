"""What of a trace is kept and shown: values cut to length, secrets taken out, huge traces thinned.

Attributes are foreign text of any size, and instrumentation records headers. A key that looks like a secret keeps
its name and loses its value, wherever the trace came from.
"""

from __future__ import annotations

import re
from dataclasses import replace

from app.model.span import Attributes, Span, SpanEvent, Trace, Value

MOST_SPANS = 2_000
MOST_ATTRIBUTES = 64
MOST_EVENTS = 32
LONGEST_VALUE = 512
LONGEST_STACK = 2_048
LONGEST_NAME = 256
HIDDEN = "(hidden)"
_MOST = 2**63 - 1

_SECRET = re.compile(
    r"authorization|authenticat|cookie|passw|passphrase|\bpwd\b|secret|token|credential|private.?key|api.?key|apikey"
    r"|access.?key|session.?id|signature|\bjwt\b|\bbearer\b|csrf|xsrf",
    re.IGNORECASE,
)
# Names that hold such a word and are no secrets.
_HARMLESS = re.compile(r"^(gen_ai\.usage\.|llm\.).*tokens?$|token_(count|type)$", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=//)[^/@\s]*:[^/@\s]*@")  # user:password@ of an address
_IN_QUERY = re.compile(
    r"(?i)([?&;](?:[^=&;#\s]*(?:token|passw|secret|api_?key|signature|credential)[^=&;#\s]*|sig|auth|key|code)=)[^&;#\s]*"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")


def presentable(trace: Trace) -> Trace:
    """The trace with bounded, redacted spans; `cut` counts the spans left out (the shortest ones without errors)."""
    spans = trace.spans
    if len(spans) > MOST_SPANS:
        spans = tuple(
            sorted(spans, key=lambda one: (one.status != "error", bool(one.parent_id), -one.duration))
        )
        spans = spans[:MOST_SPANS]
    return replace(trace, spans=tuple(map(_span, spans)), cut=trace.cut + len(trace.spans) - len(spans))


def _span(span: Span) -> Span:
    return replace(
        span,
        name=_cut(span.name, LONGEST_NAME),
        service=_cut(span.service, LONGEST_NAME),
        namespace=_cut(span.namespace, LONGEST_NAME),
        status_message=_clean(span.status_message, LONGEST_VALUE),
        attributes=attributes(span.attributes),
        resource=attributes(span.resource),
        events=tuple(
            SpanEvent(_cut(one.name, LONGEST_NAME), one.at, attributes(one.attributes))
            for one in span.events[:MOST_EVENTS]
        ),
        links=span.links[:MOST_EVENTS],
    )


def attributes(given: Attributes) -> Attributes:
    """The first attributes, with short values and without secrets."""
    found: Attributes = {}
    for key, value in given.items():
        if len(found) >= MOST_ATTRIBUTES:
            break
        found[_cut(key, LONGEST_NAME)] = HIDDEN if is_secret(key) else _value(key, value)
    return found


def is_secret(key: str) -> bool:
    """Whether the name of an attribute says that its value is nobody's business."""
    return _SECRET.search(key[:LONGEST_NAME]) is not None and _HARMLESS.search(key[:LONGEST_NAME]) is None


def _value(key: str, value: Value) -> Value:
    longest = LONGEST_STACK if key.endswith("stacktrace") else LONGEST_VALUE
    if isinstance(value, str):
        return _clean(value, longest)
    if isinstance(value, tuple):
        return tuple(_clean(str(one), LONGEST_VALUE) for one in value[:16])
    return (
        value if -_MOST <= value <= _MOST else str(value)[:LONGEST_VALUE]
    )  # NaN is not, and has no JSON form


def _clean(text: str, longest: int) -> str:
    """Cut first, so that a hostile value costs no more than a long one."""
    text = text[: 2 * longest]
    text = _IN_URL.sub(f"{HIDDEN}@", text)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    return _cut(_BEARER.sub(rf"\1 {HIDDEN}", text), longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
