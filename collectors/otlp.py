"""Spans pushed over OTLP/HTTP, joined into the edges of the last minute.

`ingest` runs in the threads that received bodies and only appends columns; `pull` joins them and tells what the
last minute amounts to. Everything kept is bounded; what was dropped is counted and said in the notices.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np

from app import clock
from app.model.example import Example
from app.model.fleet import Snapshot
from app.model.series import Window
from app.model.trace import SpanKind
from app.understand.rules import HostRule, Hosts
from collectors.otlp_body import JSON, PROTOBUF, Full, TooLarge, Unsupported, unpack
from collectors.span_columns import Batch, Flaws, Off
from collectors.span_folded import Limits
from collectors.span_join import Joiner
from collectors.span_keep import SETTLED_NS, Keeper, asked_of
from collectors.span_ledger import EVER, STEP_NS
from collectors.span_pulled import Pulled
from collectors.span_read import read_json, read_protobuf
from collectors.span_witness import witness
from collectors.trace_sink import Whole

KEPT_STEPS = 6
RETRY_AFTER_SECONDS = 10
_JOIN_AT = 65_536  # spans waiting for a join keep their whole bodies in memory: join before that is much
_JOIN_AT_BYTES, _MOST_BYTES = 64 << 20, 256 << 20  # of unpacked bodies: a few spans may be long
_MOST_DELAY_NS = 30 * 10**9
_MOST_WORST = 200
_PATIENCE_NS = 40 * 10**9  # until a trace has been fetched again

# tally -> the sentence of its notice; counts are those of the last minute, {} at the end the worst one in words.
_NOTICES = {
    "refused": "{} bodies were refused because the span buffer was full; their senders were asked to come back.",
    "ids": "{} spans were rejected for invalid trace or span ids.",
    "times": "{} spans were rejected for impossible times{}.",
    "nameless": "{} spans carried no service.name and were ignored.",
    "late": "{} spans came more than a minute late and were not counted{}.",
    "doubles": "{} spans came twice and were counted once.",
    "evicted": "{} halves of calls were settled early because too many were waiting for their other half.",
    "unanswered": "{} calls had neither a server span nor an attribute naming their target.",
    "unattributed": "{} messages named no destination, and neither did the span they came from.",
    "skewed": "{} messages were taken before they were sent, by the clocks of their services{}.",
    "orphans": "{} server spans have a parent that never came; they count for their service, not for an edge.",
}

_OFF = {
    "times": "ahead of the clock here",
    "late": "old: sent late, or by a clock that is behind",
    "skewed": "too early",
}


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of one body: spans taken, spans refused, and a sentence about the refused ones ("" = none)."""

    accepted: int
    rejected: int
    message: str


class OtlpCollector:
    """The spans of one cluster. `sampling_attribute` names an attribute that holds a sampling ratio.

    `hosts` are groups of hosts outside the fleet."""

    kind: ClassVar[str] = "otlp"
    cost: ClassVar[str] = "Edges seen in traces are missing, and with them calls that no metric tells of."

    def __init__(
        self,
        cluster: str,
        name: str = "traces",
        *,
        max_body_bytes: int = 16 << 20,
        max_spans: int = 1_000_000,
        sampling_attribute: str | None = None,
        wait: timedelta = timedelta(seconds=10),
        join_at: int = _JOIN_AT,
        limits: Limits | None = None,
        hosts: Sequence[HostRule] = (),
        pulled: Pulled | None = None,
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.max_body_bytes = max_body_bytes
        self.totals: Counter[str] = Counter()
        self._max_spans = max_spans
        self._join_at = join_at
        self._sampling_attribute = sampling_attribute
        self._wait_ns = int(wait.total_seconds() * 1e9)
        self._pulled = pulled
        self._pending: list[Batch] = []
        self._pending_spans = self._pending_bytes = 0
        self._pending_lock = threading.Lock()
        self._join_lock = threading.Lock()
        self._joiner = Joiner(
            wait_seconds=wait.total_seconds(),
            max_waiting=max(max_spans // 2, 1),
            limits=limits,
            hosts=Hosts(hosts),
        )
        self._keeper = Keeper(cluster)
        self._recent: deque[tuple[int, Counter[str]]] = deque()
        self._worst: deque[tuple[int, str, Off]] = deque()  # step, tally, the time that was off most
        self._delays: deque[tuple[int, int, int]] = deque()  # step of arrival, spans, sum of delays in ns

    def start(self) -> None:
        """Nothing runs between pulls."""

    def close(self) -> None:
        """Nothing to end."""

    def ingest(self, body: bytes, content_type: str, encoding: str = "") -> IngestResult:
        """Take one request body. Thread-safe.

        Raises the errors of `otlp_body`: Malformed, TooLarge, Unsupported, Full; then nothing was kept.
        """
        if self._held() >= self._max_spans:
            self._refuse()
        raw = unpack(body, encoding, self.max_body_bytes)
        batch = self._read(raw, content_type)
        if len(batch) > self._max_spans:
            raise TooLarge(f"more than {self._max_spans} spans in one body")
        with self._pending_lock:
            fits = self._held() + len(batch) <= self._max_spans and self._pending_bytes < _MOST_BYTES
            if fits:
                self._pending.append(batch)
                self._pending_spans += len(batch)
                self._pending_bytes += len(raw)
                self.totals["spans"] += len(batch)
            crowded = self._pending_spans >= self._join_at or self._pending_bytes >= _JOIN_AT_BYTES
        if not fits:
            self._refuse()
        self._keeper.remember(body, content_type, encoding, batch, unpacked=len(raw))
        if crowded:
            self._join_if_idle()
        return _result(batch)

    def check(self, body: bytes, content_type: str, encoding: str = "") -> IngestResult:
        """What `ingest` would answer, keeping nothing; raises as it does, Full aside."""
        return _result(self._read(unpack(body, encoding, self.max_body_bytes), content_type))

    def pull(self, window: Window) -> Snapshot:
        """Join what came and tell the last minute up to now (or to the window's end, if that is later)."""
        moment = max(window.end, clock.now())
        now_ns = _ns(moment)
        with self._join_lock:
            self._join(now_ns)
            as_of, end_step = self._end(moment)
            first_step = min(end_step, round(now_ns / STEP_NS)) - KEPT_STEPS
            begin = datetime.fromtimestamp(first_step * STEP_NS / 1e9, UTC)
            found = witness(
                self._joiner,
                first_step=first_step,
                end_step=end_step,
                as_of=as_of,
                window=as_of - begin,
            )
            notices = self._notices()
        return Snapshot(self.cluster, self.name, moment, (found,), notices=notices)

    def examples(self) -> list[Example]:
        """Traces of calls chosen some seconds ago, each handed out once; asked for after `pull`."""
        with self._join_lock:
            asked = asked_of(self._joiner, _ns(clock.now()) - SETTLED_NS)
        found = self._keeper.find(asked)
        with self._join_lock:
            self._joiner.choice.settle(found.done, found.lost)
            self.totals.update(examples=len(found.examples))
        return found.examples

    def take(
        self,
        settled: Sequence[Batch],
        unsettled: Sequence[Batch],
        *,
        source: str,
        until: datetime | None,
        whole: Sequence[Whole] = (),
    ) -> None:
        """Join spans that were pulled from a backend; see `trace_sink.SpanSink`. Thread-safe.

        Halves of settled traces wait for nobody, those of unsettled ones until the trace is fetched again.
        """
        now = clock.now()
        now_ns = _ns(now)
        for one in whole:
            self._keeper.remember_pulled(one)
        waits = [(batch, -self._wait_ns) for batch in settled]
        waits += [(batch, _PATIENCE_NS - self._wait_ns) for batch in unsettled]
        with self._join_lock:
            self._join(now_ns)
            news = self._count([replace(batch, arrived=now_ns + wait) for batch, wait in waits], now_ns)
            spans = sum(int((batch.kind > SpanKind.INTERNAL).sum()) for batch, _ in waits)
            self.totals["pulled"] += spans
            if self._pulled is not None:
                self._pulled.heard(source, until, new=spans - news["doubles"] - news["late"], now=now)
            news["doubles"] = 0  # that a pulled span was pushed as well is nothing to tell of

    def _end(self, moment: datetime) -> tuple[datetime, int]:
        """Up to when the picture tells of calls, and the step that is not part of it any more."""
        pushed = sum(count for _, count, _ in self._delays)
        end = self._pulled.end(moment, pushed=pushed) if self._pulled is not None else None
        return (moment - self._delay(), EVER) if end is None else (end, _ns(end) // STEP_NS)

    def _read(self, body: bytes, content_type: str) -> Batch:
        read = {PROTOBUF: read_protobuf, JSON: read_json}.get(content_type.partition(";")[0].strip().lower())
        if read is None:
            raise Unsupported(f"unsupported media type, supported: [{JSON}, {PROTOBUF}]")
        return read(body, now_ns=_ns(clock.now()), sampling_attribute=self._sampling_attribute)

    def _held(self) -> int:
        return self._pending_spans + self._joiner.waiting

    def _refuse(self) -> None:
        with self._pending_lock:
            self.totals["refused"] += 1
            self._recent.append((_ns(clock.now()) // STEP_NS, Counter(refused=1)))
        raise Full(
            f"the span buffer is full, come back in {RETRY_AFTER_SECONDS} s", retry_after=RETRY_AFTER_SECONDS
        )

    def _join_if_idle(self) -> None:
        """Join in this thread unless another one is at it: whoever fills the buffer helps to empty it."""
        if self._join_lock.acquire(blocking=False):
            try:
                self._join(_ns(clock.now()))
            finally:
                self._join_lock.release()

    def _join(self, now_ns: int) -> None:
        with self._pending_lock:
            batches, self._pending = self._pending, []
            self._pending_spans = self._pending_bytes = 0
        for batch in batches:
            self._measure(batch, now_ns // STEP_NS)
        self._count(batches, now_ns)

    def _count(self, batches: Sequence[Batch], now_ns: int) -> Counter[str]:
        """Join batches; what became of their spans."""
        step = now_ns // STEP_NS
        kept = KEPT_STEPS + (self._pulled.steps if self._pulled is not None else 0)
        self._joiner.forget(round(now_ns / STEP_NS) - kept)
        self._joiner.join(batches, now_ns)
        news = self._joiner.tally
        for batch in batches:
            news.update(ids=batch.flaws.ids, times=batch.flaws.times, nameless=batch.flaws.nameless)
        self._note_worst(batches, step)
        self._joiner.tally = Counter()
        self.totals.update(news)
        self._recent.append((step, news))
        while self._recent and self._recent[0][0] < step - KEPT_STEPS:
            self._recent.popleft()
        while self._delays and self._delays[0][0] < step - KEPT_STEPS:
            self._delays.popleft()
        return news

    def _note_worst(self, batches: Sequence[Batch], step: int) -> None:
        for key, off in self._joiner.worst.items():
            self._worst.append((step, key, off))
        self._joiner.worst = {}
        ahead = [batch.flaws.ahead for batch in batches if batch.flaws.ahead is not None]
        if ahead:
            self._worst.append((step, "times", max(ahead)))
        while self._worst and (self._worst[0][0] < step - KEPT_STEPS or len(self._worst) > _MOST_WORST):
            self._worst.popleft()

    def _measure(self, batch: Batch, step: int) -> None:
        delay = batch.arrived - batch.end
        usual = delay[delay < _MOST_DELAY_NS]
        if len(usual):
            self._delays.append((step, len(usual), int(np.maximum(usual, 0).sum())))

    def _delay(self) -> timedelta:
        """How long spans take from their end to us, on average.

        Senders batch, so the newest seconds are always incomplete. The spans known now are as many as a complete
        record up to now minus the mean delay would hold: that is the honest end of the window.
        """
        spans = sum(count for _, count, _ in self._delays)
        total = sum(delay for _, _, delay in self._delays)
        return timedelta(microseconds=total / spans / 1e3 if spans else 0)

    def _off_most(self, key: str) -> str:
        found = [off for _, kind, off in self._worst if kind == key]
        return _off(key, *max(found)) if found else ""

    def _notices(self) -> tuple[str, ...]:
        with self._pending_lock:
            recent = list(self._recent)
        counts: Counter[str] = Counter()
        for _, news in recent:
            counts.update(news)
        told = [
            text.format(counts[key], self._off_most(key)) for key, text in _NOTICES.items() if counts[key] > 0
        ]
        return (*told, *self._joiner.parties.folded.notices())


def _off(key: str, by: int, service: str) -> str:
    """The worst of several times in words, to end a sentence with."""
    digits = 0 if by >= 10**10 else 3
    return f"; worst: {service[:60]}, {max(by / 1e9, 0.001):,.{digits}f} s {_OFF[key]}"


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1000


def _result(batch: Batch) -> IngestResult:
    return IngestResult(len(batch) + batch.flaws.nameless, batch.flaws.rejected, _sentence(batch.flaws))


def _sentence(flaws: Flaws) -> str:
    parts = []
    if flaws.ids:
        parts.append(f"{flaws.ids} with an invalid trace, span or parent id")
    if flaws.times:
        parts.append(f"{flaws.times} with impossible times")
    return "rejected spans: " + ", ".join(parts) if parts else ""
