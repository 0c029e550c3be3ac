"""Example traces for a seeded store: a purchase that fails at the bank, and some that do not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import clock
from app.model.example import Example, ExampleCall, Why
from app.model.fleet import Identity
from app.model.span import Span, SpanEvent, SpanLink, Trace
from app.model.trace import SpanKind
from app.store import traces
from app.store.engine import Store

FAILED_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STACK = (
    'Traceback (most recent call last):\n  File "charge.py", line 12, in charge\nTimeout: no answer in 1.9 s'
)


def make_span(
    own: int, parent: int, service: str, *, at: datetime, start: float, seconds: float, **more: Any
) -> Span:
    """A span; `start` in seconds after `at`."""
    values: dict[str, Any] = {
        "span_id": f"{own:016x}",
        "parent_id": f"{parent:016x}" if parent else "",
        "name": f"op {own}",
        "kind": SpanKind.INTERNAL,
        "service": service,
        "namespace": "shop",
        "start": int((at.timestamp() + start) * 1e9),
        "duration": int(seconds * 1e9),
        "resource": {"service.name": service, "service.version": "v43"},
    }
    return Span(**values | more)


def purchase(
    trace_id: str = FAILED_TRACE, *, at: datetime | None = None, failed: bool = True, slow: float = 1.9
) -> Trace:
    """gateway -> order -> bank; in order also forty reads of the cart, a message, and a callee with another clock."""
    at = at or clock.now() - timedelta(minutes=3)
    error = "error" if failed else "unset"
    status = {"http.response.status_code": 500 if failed else 200}
    thrown = SpanEvent(
        "exception",
        int((at.timestamp() + slow) * 1e9),
        {"exception.type": "Timeout", "exception.message": "no answer", "exception.stacktrace": STACK},
    )
    server, client = {"kind": SpanKind.SERVER}, {"kind": SpanKind.CLIENT}
    whole = slow + 0.25
    spans = [
        make_span(
            1,
            0,
            "gateway",
            at=at,
            start=0,
            seconds=whole,
            name="POST /buy",
            status=error,
            attributes=status,
            **server,
        ),
        make_span(
            2, 1, "gateway", at=at, start=0.01, seconds=whole - 0.05, name="POST", status=error, **client
        ),
        make_span(
            3,
            2,
            "order",
            at=at,
            start=0.02,
            seconds=whole - 0.1,
            name="POST /charge",
            status=error,
            attributes={**status, "http.route": "/charge", "http.request.header.cookie": "(hidden)"},
            events=(thrown,) if failed else (),
            links=(SpanLink("ab" * 16, "cd" * 8),),
            **server,
        ),
        make_span(
            4,
            3,
            "order",
            at=at,
            start=0.15,
            seconds=slow,
            name="bank.charge",
            attributes={"server.address": "bank"},
            **client,
        ),
        make_span(5, 3, "order", at=at, start=0.03, seconds=0.05, name="GET", **client),
        make_span(6, 5, "payment", at=at, start=-0.3, seconds=0.03, name="GET /limits", **server),
        make_span(7, 99, "search", at=at, start=0.5, seconds=0.2, name="reindex"),
    ]
    spans += [
        make_span(100 + n, 3, "order", at=at, start=0.04 + n / 500, seconds=0.002, name="GET cart", **client)
        for n in range(40)
    ]
    return Trace("demo", trace_id, tuple(spans))


def seed_traces(store: Store, *, order: str = "demo:shop:order", gateway: str = "demo:shop:gateway") -> None:
    """The failed purchase and two good ones, kept for gateway -> order."""
    now = clock.now()
    kept = [
        (purchase(at=now - timedelta(minutes=3)), Why.FAILED),
        (purchase("ab" * 16, at=now - timedelta(minutes=4), failed=False, slow=0.9), Why.SLOW),
        (purchase("cd" * 16, at=now - timedelta(minutes=5), failed=False, slow=0.1), Why.TYPICAL),
    ]
    ids = {"gateway": gateway, "order": order}
    with store.begin() as session:
        traces.put(session, [_example(trace, why) for trace, why in kept])
        traces.place(session, "demo", lambda party: ids[party.name])


def _example(trace: Trace, why: Why) -> Example:
    call = trace.spans[1]
    told = ExampleCall(
        call.span_id,
        Identity(name="gateway"),
        Identity(name="order"),
        why,
        call.duration / 1e9,
        call.status == "error",
    )
    return Example(trace, (told,))
