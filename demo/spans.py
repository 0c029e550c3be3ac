"""Spans as the demo records them, and the OTLP bodies they become: one resource per service instance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from demo import otlp_wire
from demo.catalog import Service
from demo.seam import PodView

Value = str | int | float | bool
_SCOPE = ("shop.instrumentation", "1.4.0")
_REMOTE_KNOWN, _REMOTE, _RANDOM = 0x100, 0x200, 0x02
_SPACE = 1 << 56


@dataclass(frozen=True, slots=True)
class Sampling:
    """Head sampling at `ratio`, told in the tracestate (OpenTelemetry, consistent probability sampling)."""

    ratio: float

    @property
    def threshold(self) -> int:
        """T of `th`: traces whose 56 random bits lie under it are dropped."""
        return _SPACE - round(Fraction(str(self.ratio)) * _SPACE)

    @property
    def tracestate(self) -> str:
        """As spans carry it: trailing zeros of the 14 digits left out."""
        return f"ot=th:{f'{self.threshold:014x}'.rstrip('0') or '0'}"

    def trace_id(self, rng: random.Random) -> bytes:
        """A new id that this sampler keeps."""
        low = rng.randrange(self.threshold, _SPACE)
        return rng.getrandbits(72).to_bytes(9, "big") + low.to_bytes(7, "big")


@dataclass(slots=True)
class Span:
    """One span. Times are seconds on the clock of its trace; `pod` is the index of the instance."""

    pod: int
    name: str
    kind: int
    trace: bytes
    id: bytes
    parent: bytes
    start: float
    end: float = 0.0
    attributes: list[tuple[str, Value]] = field(default_factory=list)
    error: str = ""
    exception: str = ""
    link: tuple[bytes, bytes] | None = None


class Bodies:
    """Collects spans of many traces into export requests; a trace is spread over them as in real life."""

    def __init__(self, tracestate: str, split: int = 2) -> None:
        self._tracestate = tracestate
        self._requests = [otlp_wire.request() for _ in range(split)]
        self._scopes: dict[str, Any] = {}
        self.spans = 0

    def add(self, span: Span, base: float, service: Service, view: PodView) -> None:
        """Write a span whose trace began `base` seconds after 1970."""
        scope = self._scopes.get(view.uid) or self._scope(service, view)
        made = scope.spans.add(
            trace_id=span.trace,
            span_id=span.id,
            parent_span_id=span.parent,
            trace_state=self._tracestate,
            name=span.name,
            kind=span.kind,
            start_time_unix_nano=int((base + span.start) * 1e9),
            end_time_unix_nano=int((base + max(span.end, span.start)) * 1e9),
            flags=_flags(span),
        )
        for key, value in span.attributes:
            otlp_wire.put(made.attributes, key, value)
        if span.error:
            made.status.code = otlp_wire.ERROR
            otlp_wire.put(made.attributes, "error.type", span.error)
        if span.exception:
            _exception(made, span, int((base + span.end) * 1e9))
        if span.link:
            trace, linked = span.link
            made.links.add(trace_id=trace, span_id=linked, trace_state=self._tracestate, flags=_RANDOM | 1)
        self.spans += 1

    def written(self) -> list[bytes]:
        """The requests that hold anything, serialised."""
        return [request.SerializeToString() for request in self._requests if request.resource_spans]

    def _scope(self, service: Service, view: PodView) -> Any:
        request = self._requests[sum(view.uid.encode()) % len(self._requests)]
        made = request.resource_spans.add()
        for key, value in resource(service, view).items():
            otlp_wire.put(made.resource.attributes, key, value)
        scope = made.scope_spans.add()
        scope.scope.name, scope.scope.version = _SCOPE
        self._scopes[view.uid] = scope
        return scope


def resource(service: Service, view: PodView) -> dict[str, Value]:
    """Resource attributes of one instance of a service."""
    return {
        "service.name": service.name,
        "service.namespace": service.namespace,
        "service.version": view.version,
        "service.instance.id": view.uid,
        "k8s.namespace.name": service.namespace,
        f"k8s.{service.kind.lower()}.name": service.name,
        "k8s.pod.name": view.name,
        "k8s.pod.uid": view.uid,
        "k8s.node.name": view.node,
        "deployment.environment.name": "demo",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
    }


def _flags(span: Span) -> int:
    flags = otlp_wire.SAMPLED | _RANDOM | _REMOTE_KNOWN
    return flags | _REMOTE if span.parent and span.kind == otlp_wire.SERVER else flags


def _exception(made: Any, span: Span, at: int) -> None:
    event = made.events.add(time_unix_nano=at, name="exception")
    otlp_wire.put(event.attributes, "exception.type", span.exception)
    otlp_wire.put(event.attributes, "exception.message", f"{span.name} failed: {span.error}")
    frames = (
        f'  File "/app/{module}.py", line {40 + 7 * i}, in {module}'
        for i, module in enumerate(("server", "handler"))
    )
    trace = "\n".join(("Traceback (most recent call last):", *frames, f"{span.exception}: {span.error}"))
    otlp_wire.put(event.attributes, "exception.stacktrace", trace)
