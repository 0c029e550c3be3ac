"""Draws single requests out of the running model and writes them down as traces.

A sampled request walks the call graph with the latencies, refusals and failures that the model has just now;
messages become traces of their own, linked to the span that sent them.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from app.model.series import Floats
from demo import otlp_wire
from demo.catalog import Call, Endpoint, Store, Topic
from demo.counting import NETWORK_SECONDS, REFUSAL_SECONDS
from demo.labels import address_of
from demo.model import BASE_ERRORS, Fleet
from demo.plan import gathered
from demo.spans import Bodies, Sampling, Span

RATIO = 0.1
_MOST_PENDING = 20_000
MOST_TRACES = 400  # per flush; a surge at high speed must not starve the model
_EXCEPTIONS = {
    "500": "RuntimeError",
    "timeout": "TimeoutError",
    "504": "TimeoutError",
    "503": "PoolExhausted",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request or call ended: at which second, with which HTTP status (0 = no answer came)."""

    end: float
    status: int

    @property
    def failed(self) -> bool:
        """No answer, or one of the 500s."""
        return self.status == 0 or self.status >= 500


class _World:
    """The model's columns as plain lists, taken once per flush."""

    def __init__(self, fleet: Fleet) -> None:
        state, pods, rows = fleet.state, fleet.pods, fleet.pod_state
        self.pods = pods
        self.wait, self.refused = rows.wait.tolist(), rows.refused.tolist()
        self.slower, self.faulty = pods.slower.tolist(), pods.faulty.tolist()
        self.lost = rows.lost.tolist()
        self.mean, self.variance = state.mean.tolist(), state.variance.tolist()
        self.failing = state.failing.tolist()
        self.delay = (state.lag / np.maximum(state.consumed, 0.1)).tolist()
        self.retries = fleet.faults.retries.tolist()
        self._choices: dict[int, tuple[list[int], list[float]]] = {}
        for place, (service, share) in enumerate(
            zip(pods.service.tolist(), rows.share.tolist(), strict=True)
        ):
            if share > 0:
                places, shares = self._choices.setdefault(service, ([], []))
                places.append(place)
                shares.append(share)
        self._choices = {s: (p, list(accumulate(w))) for s, (p, w) in self._choices.items()}

    def pod(self, service: int, rng: random.Random) -> int | None:
        """The pod that gets the next request of a service; None = no pod is ready."""
        found = self._choices.get(service)
        return rng.choices(found[0], cum_weights=found[1])[0] if found else None


class Tracer:
    """Makes the traces of one fleet. `flush` is called between steps, in the model's thread."""

    def __init__(self, fleet: Fleet, *, seed: int, ratio: float = RATIO, most: int = MOST_TRACES) -> None:
        self.fleet = fleet
        self.plan = fleet.plan
        self.sampling = Sampling(ratio)
        self.dropped = 0
        self._most = most
        self._rng = random.Random(seed)
        self._draws = np.random.default_rng([seed, 5])
        self._pending: list[tuple[float, int, int, bytes, bytes]] = []
        self._serial = 0
        self._spans: list[Span] = []
        self._messages: list[tuple[float, int, bytes, bytes]] = []
        self._where = [address_of(self.plan, target) for target in self.plan.targets]
        self._service = self.plan.endpoint_service.tolist()
        self._target = self.plan.target.tolist()
        self._world = _World(fleet)

    def flush(self, now: float, seconds: float, speed: float = 1.0, into: Bodies | None = None) -> Bodies:
        """Traces of the `seconds` of wall time before `now` (s since 1970), with `speed` model seconds each.

        They are added to `into`, or to new bodies.
        """
        self._world = _World(self.fleet)
        bodies = into or Bodies(self.sampling.tracestate)
        rates = self.fleet.state.rate[self.plan.entry] - self._called_entries()
        counts = self._draws.poisson(np.maximum(rates, 0.0) * self.sampling.ratio * seconds * speed)
        entries = np.repeat(self.plan.entry, counts).tolist()
        self.dropped += max(0, len(entries) - self._most)
        for endpoint in entries[: self._most]:
            self._begin(endpoint, bodies, now - self._rng.random() * seconds)
        while self._pending and self._pending[0][0] <= now:
            due, _, consumer, trace, span = heapq.heappop(self._pending)
            self._consume(consumer, due, (trace, span), bodies)
        return bodies

    def _called_entries(self) -> Floats:
        """Rates at which entry endpoints are called by services, which is not outside demand."""
        plan = self.plan
        inside = gathered(plan.target, self.fleet.state.call_rate, len(plan.targets))
        return np.asarray(inside[plan.entry])

    def _begin(self, endpoint: int, bodies: Bodies, end: float) -> None:
        """One request from outside that ended at `end`."""
        trace = self.sampling.trace_id(self._rng)
        outcome = self._serve(endpoint, 0.0, trace, b"")
        self._write(bodies, end - outcome.end)

    def _consume(self, consumer: int, due: float, link: tuple[bytes, bytes], bodies: Bodies) -> None:
        """A message is processed: a trace of its own, linked to the span that sent the message."""
        endpoint = int(self.plan.consumers[consumer])
        trace = self.sampling.trace_id(self._rng)
        self._serve(endpoint, 0.0, trace, b"", link)
        self._write(bodies, due)

    def _write(self, bodies: Bodies, base: float) -> None:
        pods, services = self._world.pods, self.plan.catalog.services
        for span in self._spans:
            bodies.add(span, base, services[pods.service[span.pod]], pods.views[span.pod])
        for sent, topic, trace, span_id in self._messages:
            self._deliver(base + sent, topic, trace, span_id)
        self._spans, self._messages = [], []

    def _deliver(self, sent: float, topic: int, trace: bytes, span: bytes) -> None:
        """Queue the processing of a message by each consumer group, behind what already waits."""
        for consumer, consumed in enumerate(self.plan.consumed.tolist()):
            if consumed == topic and len(self._pending) < _MOST_PENDING:
                self._serial += 1
                due = sent + self._world.delay[consumer] + self._rng.uniform(0.004, 0.03)
                heapq.heappush(self._pending, (due, self._serial, consumer, trace, span))

    def _serve(
        self, e: int, at: float, trace: bytes, parent: bytes, link: tuple[bytes, bytes] | None = None
    ) -> Outcome:
        """A request arrives at endpoint `e` at second `at`."""
        world, rng, endpoint = self._world, self._rng, self.plan.catalog.endpoints[e]
        pod = world.pod(self._service[e], rng)
        if pod is None:
            return Outcome(at + REFUSAL_SECONDS, 503)
        if world.lost[pod]:
            return Outcome(math.inf, 0)
        span = Span(pod, "", otlp_wire.SERVER, trace, self._id(), parent, at, link=link)
        self._spans.append(span)
        if rng.random() < world.refused[pod] and not endpoint.topic:
            return self._ended(span, e, Outcome(at + REFUSAL_SECONDS, 503))
        own = self._draw(endpoint.seconds * world.slower[pod], endpoint.spread)
        outcome = self._depend(e, at + self._draw(world.wait[pod], 0.3) + own / 2, span)
        end = outcome.end + own / 2
        if end - at > endpoint.deadline:
            return self._ended(span, e, Outcome(at + endpoint.deadline, 504))
        if outcome.failed or rng.random() < 1 - (1 - BASE_ERRORS) * (1 - world.faulty[pod]):
            return self._ended(span, e, Outcome(end, 500))
        return self._ended(
            span, e, Outcome(end, 404 if rng.random() < endpoint.missing else endpoint.success)
        )

    def _depend(self, e: int, at: float, parent: Span) -> Outcome:
        """The calls of a request, one after the other; the first failed critical one ends it."""
        for c in self.plan.calls_of.get(e, []):
            call = self.plan.catalog.calls[c]
            whole = int(call.times)
            for _ in range(whole + (self._rng.random() < call.times - whole)):
                outcome = self._call(c, call, at, parent)
                at = outcome.end
                if outcome.failed and call.critical:
                    return Outcome(at, 500)
        return Outcome(at, 200)

    def _call(self, c: int, call: Call, at: float, parent: Span) -> Outcome:
        """A call with its retries."""
        outcome = Outcome(at, 0)
        for resend in range(1 + round(self._world.retries[c])):
            outcome = self._attempt(c, call, outcome.end, parent, resend)
            if not outcome.failed:
                break
        return outcome

    def _attempt(self, c: int, call: Call, at: float, parent: Span, resend: int) -> Outcome:
        t = self._target[c]
        target = self.plan.targets[t]
        kind = otlp_wire.PRODUCER if isinstance(target, Topic) else otlp_wire.CLIENT
        span = Span(parent.pod, "", kind, parent.trace, self._id(), parent.id, at)
        self._spans.append(span)
        if isinstance(target, Endpoint):
            met = self._serve(t, at + NETWORK_SECONDS / 2, parent.trace, span.id)
            outcome = Outcome(met.end + NETWORK_SECONDS / 2, met.status)
        else:
            outcome = self._ask(t, at)
        if outcome.end - at > call.timeout:
            outcome = Outcome(at + call.timeout, 0)
        span.end = outcome.end
        span.name, span.attributes = self._calling(t, target, call, outcome, resend)
        if outcome.status == 0 or outcome.status >= 400:
            span.error = "timeout" if outcome.status == 0 else str(outcome.status)
        if isinstance(target, Topic) and not outcome.failed:
            self._messages.append((outcome.end, t, span.trace, span.id))
        return outcome

    def _ask(self, t: int, at: float) -> Outcome:
        """A store or broker answers."""
        mean = self._world.mean[t] + NETWORK_SECONDS
        took = self._draw(mean, math.sqrt(self._world.variance[t]) / mean)
        return Outcome(at + took, 500 if self._rng.random() < self._world.failing[t] else 200)

    def _ended(self, span: Span, e: int, outcome: Outcome) -> Outcome:
        """Complete the span of the serving or consuming side."""
        endpoint = self.plan.catalog.endpoints[e]
        span.end = outcome.end
        host, port = self._where[e]
        if endpoint.topic:
            span.kind, span.name = otlp_wire.CONSUMER, f"process {endpoint.topic}"
            topic = self.plan.targets[self.plan.target_at[endpoint.topic]]
            assert isinstance(topic, Topic)
            span.attributes = [
                *_message(topic, "process"),
                ("messaging.consumer.group.name", endpoint.service),
            ]
        else:
            span.name = f"{endpoint.method} {endpoint.route}"
            span.attributes = [
                ("http.request.method", endpoint.method),
                ("http.route", endpoint.route),
                ("url.path", self._path(endpoint.route)),
                ("url.scheme", "http"),
                ("server.address", host),
                ("server.port", port),
                ("http.response.status_code", outcome.status),
            ]
        if outcome.failed:
            span.error = str(outcome.status)
            span.exception = _EXCEPTIONS.get(span.error, "") if self._rng.random() < 0.4 else ""
        return outcome

    def _calling(
        self, t: int, target: Endpoint | Store | Topic, call: Call, outcome: Outcome, resend: int
    ) -> tuple[str, list[tuple[str, str | int | float | bool]]]:
        """Name and attributes of the calling side."""
        host, port = self._where[t]
        if isinstance(target, Topic):
            return f"send {target.name}", _message(target, "send")
        where: list[tuple[str, str | int | float | bool]] = [("server.address", host), ("server.port", port)]
        if isinstance(target, Store) and target.engine != "http":
            name = f"{call.operation} {target.database}" if target.engine != "redis" else call.operation
            what: list[tuple[str, str | int | float | bool]] = [
                ("db.system.name", target.engine),
                ("db.namespace", target.database),
                ("db.operation.name", call.operation),
            ]
            return name, what + where
        method = target.method if isinstance(target, Endpoint) else call.operation
        path = self._path(target.route) if isinstance(target, Endpoint) else "/v1/charges"
        scheme = "https" if port == 443 else "http"
        what = [("http.request.method", method), ("url.full", f"{scheme}://{host}:{port}{path}")]
        if outcome.status:
            what.append(("http.response.status_code", outcome.status))
        if resend:
            what.append(("http.request.resend_count", resend))
        return method, what + where

    def _path(self, route: str) -> str:
        """A path that the route's template stands for."""
        if "{" not in route:
            return route
        return "/".join(
            str(self._rng.randrange(10_000, 99_999)) if part.startswith("{") else part
            for part in route.split("/")
        )

    def _draw(self, mean: float, spread: float) -> float:
        """A log-normal duration of this mean and ratio of deviation to mean."""
        if mean <= 0.0:
            return 0.0
        sigma2 = math.log1p(spread * spread)
        return self._rng.lognormvariate(math.log(mean) - sigma2 / 2, math.sqrt(sigma2))

    def _id(self) -> bytes:
        return self._rng.getrandbits(64).to_bytes(8, "big")


def _message(topic: Topic, operation: str) -> list[tuple[str, str | int | float | bool]]:
    return [
        ("messaging.system", topic.system),
        ("messaging.destination.name", topic.name),
        ("messaging.operation.type", operation),
        ("messaging.operation.name", operation),
        ("server.address", topic.host),
        ("server.port", topic.port),
    ]
