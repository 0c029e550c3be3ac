"""The spans of chosen traces, cut out of the bodies they came in.

Bodies are kept as they were sent, compressed, for a minute or until there is no more room. Some seconds after a call
was chosen its trace is looked for in them: only then are bodies unpacked and the few spans wanted decoded in full.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.model.example import Example, ExampleCall
from app.model.fleet import Identity
from app.model.span import Span, Trace
from app.understand.redact import presentable
from collectors.otlp_body import OtlpError, unpack
from collectors.span_choice import Chosen
from collectors.span_columns import Batch, mix
from collectors.span_cut import Cut, spans_of
from collectors.span_fields import U64
from collectors.span_join import Joiner
from collectors.trace_sink import Whole

SETTLED_NS = 20 * 10**9  # by then SDKs have sent what belongs to a trace
KEPT_BYTES = 64 << 20
_KEPT_NS = 75 * 10**9
_MOST_ASKED = 500  # calls looked up in one round
_MOST_TRACES = 25
_MOST_UNPACKED = 16 << 20  # bytes unpacked in one round, about a twentieth of a second
_MOST_DECODED = 4_000  # spans of one trace
_COLUMNS = 16  # bytes per span of what is noted beside a body


@dataclass(frozen=True, slots=True)
class Asked:
    """A chosen call and the parties of its edge."""

    chosen: Chosen
    caller: Identity
    callee: Identity


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes
    cut: Cut
    encoding: str
    unpacked: int
    arrived: int
    key: U64
    trace: U64

    @property
    def size(self) -> int:
        return len(self.content) + _COLUMNS * len(self.key)


@dataclass(slots=True)
class Found:
    """What one round brought: examples, the calls they are examples of, and calls whose spans are gone."""

    examples: list[Example] = field(default_factory=list)
    done: list[Chosen] = field(default_factory=list)
    lost: list[Chosen] = field(default_factory=list)


class Keeper:
    """Recent bodies of one cluster, bounded in bytes and age. Thread-safe."""

    def __init__(self, cluster: str, *, most_bytes: int = KEPT_BYTES) -> None:
        self._cluster = cluster
        self._most = most_bytes
        self._bodies: deque[_Body] = deque()
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes kept now."""
        return self._held

    def remember(
        self, content: bytes, content_type: str, encoding: str, batch: Batch, *, unpacked: int
    ) -> None:
        """Keep a body as it was sent; `batch` are its spans, `unpacked` its length without compression."""

        def cut(body: bytes, traces: Mapping[int, int]) -> list[tuple[str, Span]]:
            return spans_of(body, content_type, traces)

        self._put(_Body(content, cut, encoding, unpacked, batch.arrived, batch.key, batch.trace))

    def remember_pulled(self, one: Whole) -> None:
        """Keep traces of a backend."""
        size, batch = len(one.content), one.batch
        self._put(_Body(one.content, one.cut, "", size, batch.arrived, batch.key, batch.trace))

    def _put(self, one: _Body) -> None:
        with self._lock:
            self._bodies.append(one)
            self._held += one.size
            self._drop(one.arrived)

    def _drop(self, now_ns: int) -> None:
        while self._bodies and (self._held > self._most or self._bodies[0].arrived < now_ns - _KEPT_NS):
            self._held -= self._bodies.popleft().size

    def find(self, asked: Sequence[Asked]) -> Found:
        """The traces of some calls, in the order of the calls, as many as one round may cost."""
        found = Found()
        if not asked:
            return found
        with self._lock:
            bodies = list(self._bodies)
        traces = _traces_of(bodies, [one.chosen.key for one in asked])
        calls: dict[int, list[Asked]] = {}
        for one in asked:
            trace = traces.get(one.chosen.key)
            if trace is None:
                found.lost.append(one.chosen)
            else:
                calls.setdefault(trace, []).append(one)
        spans, left_out = _cut(_affordable(bodies, list(calls)))
        for trace, mine in calls.items():
            if trace in spans:
                self._finish(found, spans[trace], mine, left_out[trace])
        return found

    def _finish(self, found: Found, spans: list[tuple[str, Span]], calls: list[Asked], left_out: int) -> None:
        """Turn the spans of one trace into an example; the calls that are not among them count as lost."""
        by_key = {mix(bytes.fromhex(trace), bytes.fromhex(one.span_id)): (trace, one) for trace, one in spans}
        told: list[ExampleCall] = []
        trace_id = ""
        for asked in calls:
            at = by_key.get(asked.chosen.key)
            (found.lost if at is None else found.done).append(asked.chosen)
            if at is not None:
                trace_id = at[0]
                told.append(_call(asked, at[1]))
        mine = {one.span_id: one for trace, one in spans if trace == trace_id}
        if told:
            trace = presentable(Trace(self._cluster, trace_id, tuple(mine.values()), left_out))
            found.examples.append(Example(trace, tuple(told)))


def asked_of(joiner: Joiner, before: int) -> list[Asked]:
    """Calls chosen before a moment (ns), with the parties of their edges; what a service asks itself is no call."""
    ripe = joiner.choice.ripe(before, _MOST_ASKED)
    if not ripe:
        return []
    resolved, parties, edges = joiner.parties.resolved(), joiner.parties.identities, joiner.edges
    asked: list[Asked] = []
    for one in ripe:
        caller, callee = int(resolved[edges.source[one.row]]), int(resolved[edges.target[one.row]])
        if caller == callee:
            joiner.choice.settle([one], [])
        else:
            asked.append(Asked(one, parties[caller], parties[callee]))
    return asked


def _call(asked: Asked, span: Span) -> ExampleCall:
    return ExampleCall(
        span_id=span.span_id,
        caller=asked.caller,
        callee=asked.callee,
        why=asked.chosen.why,
        duration=span.duration / 1e9,
        failed=span.status == "error",
    )


def _traces_of(bodies: Iterable[_Body], keys: Sequence[int]) -> dict[int, int]:
    """Key of a span -> low half of its trace's id, for keys that are in one of the bodies."""
    wanted = np.unique(np.array(keys, np.uint64))
    found: dict[int, int] = {}
    for body in bodies:
        at = _where(body.key, wanted)
        found.update(zip(body.key[at].tolist(), body.trace[at].tolist(), strict=True))
    return found


def _affordable(bodies: Iterable[_Body], traces: Sequence[int]) -> list[tuple[_Body, dict[int, int]]]:
    """Which bodies to unpack, each with the traces to look for and how many spans of each it holds.

    Traces are taken in their order until the round is used up; one whose bodies are all opened anyway costs nothing.
    """
    homes: dict[int, list[tuple[_Body, int]]] = {trace: [] for trace in traces}
    wanted = np.unique(np.array(traces, np.uint64))
    for body in bodies:
        here, counts = np.unique(body.trace[_where(body.trace, wanted)], return_counts=True)
        for trace, count in zip(here.tolist(), counts.tolist(), strict=True):
            homes[trace].append((body, count))
    opened: dict[int, tuple[_Body, dict[int, int]]] = {}
    cost = taken = 0
    for trace, mine in homes.items():
        more = sum(body.unpacked for body, _ in mine if id(body) not in opened)
        if taken >= _MOST_TRACES or (more and taken and cost + more > _MOST_UNPACKED):
            continue
        cost, taken = cost + more, taken + 1
        for body, count in mine:
            opened.setdefault(id(body), (body, {}))[1][trace] = count
    return list(opened.values())


def _cut(
    opened: Sequence[tuple[_Body, dict[int, int]]],
) -> tuple[dict[int, list[tuple[str, Span]]], Counter[int]]:
    """By the low half of a trace's id: its spans in full, and how many were left out undecoded."""
    total: Counter[int] = Counter()
    for _, counts in opened:
        total.update(counts)
    found: dict[int, list[tuple[str, Span]]] = {trace: [] for trace in total}
    for body, counts in opened:
        share = {trace: _share(count, total[trace]) for trace, count in counts.items()}
        try:
            spans = body.cut(unpack(body.content, body.encoding, body.unpacked), share)
        except OtlpError:  # what the reader of columns took and the reader of whole spans does not
            continue
        for trace_id, span in spans:
            found.setdefault(low_of(trace_id), []).append((trace_id, span))
    return found, Counter({trace: max(total[trace] - len(spans), 0) for trace, spans in found.items()})


def _share(count: int, total: int) -> int:
    """How many of its spans a body may give to a trace; huge traces are decoded in part."""
    return count if total <= _MOST_DECODED else -(-count * _MOST_DECODED // total)


def low_of(trace_id: str) -> int:
    """The low half of a hex trace id, as the columns hold it."""
    return int(np.frombuffer(bytes.fromhex(trace_id)[8:16], np.uint64)[0])


def _where(values: U64, wanted: U64) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indexes of the values that are among the sorted ones wanted."""
    if not len(wanted):
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return np.flatnonzero(wanted[place] == values)


def count(found: Found) -> Counter[str]:
    """What to add to the totals of the receiver."""
    return Counter(kept=len(found.examples), unkept=len(found.lost))
