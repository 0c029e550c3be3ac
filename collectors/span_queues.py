"""Messages: producers, queues and consumers, and how long messages wait.

What a queue's spans mean is said by their attributes first and their kind second. A message is found again, in
another trace and perhaps minutes later, by its creation context: the span it was created or sent in, which its
consumer links to or lies below. Source: semantic conventions for messaging spans.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from app.model.series import bucket_of
from app.model.trace import Outcome, SpanKind
from collectors.span_choice import Choice
from collectors.span_crossing import CrossingLog
from collectors.span_edges import EdgeRows
from collectors.span_fields import I64
from collectors.span_flush import Flush
from collectors.span_ledger import STEP_NS, Ledger
from collectors.span_peers import MOST_MESSAGES, Peer, Role

_MAX_CONTEXTS = 50_000
_MOST_LAGS = 16  # messages of one batch whose wait is measured


class Context(NamedTuple):
    """Where a message went: the queue's party, and when it was sent (ns)."""

    queue: int
    sent: int


class Taken(NamedTuple):
    """A message that was taken before its sender told of it: the edge, when (ns), and its weight."""

    row: int
    at: int
    weight: float


class Queues:
    """The messages of one joiner, booked once a join."""

    def __init__(self) -> None:
        self.contexts: dict[int, Context] = {}
        self._taken: dict[int, Taken] = {}
        self._booked: list[tuple[int, int, float, bool]] = []  # span, row, messages, whether it was sent
        self._skew: tuple[int, int] | None = None
        self._lags: list[tuple[int, int, float, float]] = []  # row, when taken (ns), weight, seconds
        self._skewed = 0
        self.skew: tuple[int, int] | None = (
            None  # in the join last booked: by how much (ns) at worst, and the row
        )

    def knows(self, flush: Flush, span: int) -> bool:
        """Whether the span links to a message's creation context, or lies below one."""
        return self._context([*flush.links(span), int(flush.parent[span])]) is not None

    def _context(self, keys: list[int]) -> Context | None:
        return next((self.contexts[key] for key in keys if key in self.contexts), None)

    def add(self, flush: Flush, span: int, peer: Peer, queue: int, edges: EdgeRows) -> bool:
        """Take in one messaging span; False = neither it nor its context names a queue."""
        if peer.role is Role.IGNORED:
            return True
        links, parent = flush.links(span), int(flush.parent[span])
        if peer.identity is None:
            found = self._context([*links, parent])
            queue = found.queue if found else -1
        if queue < 0:
            return False
        sent = peer.role in (Role.SEND, Role.CREATE)
        if sent:
            self._send(int(flush.key[span]), Context(queue, int(flush.end[span])))
        if peer.role is Role.CREATE:
            return True
        party = int(flush.party[span])
        row = edges.row(*((party, queue) if sent else (queue, party)), peer.role, "messaging")
        if not sent:
            above = [] if flush.root[span] else [parent]
            self._take(links[:_MOST_LAGS] or above, flush, span, row)
        # A PRODUCER span that sends is its message's own creation context: its links mean something else.
        told = 0 if flush.kind[span] == SpanKind.PRODUCER else min(len(links), MOST_MESSAGES)
        self._booked.append((span, row, float(max(peer.messages or told, 1)), sent))
        return True

    def _send(self, key: int, context: Context) -> None:
        self.contexts[key] = context
        if len(self.contexts) > _MAX_CONTEXTS:
            del self.contexts[next(iter(self.contexts))]
        taken = self._taken.pop(key, None)
        if taken is not None:
            self._lag(taken, context)

    def _take(self, keys: list[int], flush: Flush, span: int, row: int) -> None:
        """Measure how long messages waited, or note them until their sender tells when it sent them."""
        taken = Taken(row, int(flush.start[span]), float(flush.weight[span]))
        for key in keys:
            context = self.contexts.get(key)
            if context is not None:
                self._lag(taken, context)
            else:
                self._taken[key] = taken
        while len(self._taken) > _MAX_CONTEXTS:
            del self._taken[next(iter(self._taken))]

    def _lag(self, taken: Taken, context: Context) -> None:
        waited = taken.at - context.sent
        if waited > 0:
            self._lags.append((taken.row, taken.at, taken.weight, waited / 1e9))
        else:
            self._skewed += 1  # by their clocks it was taken before it was sent
            self._skew = max(self._skew or (0, 0), (-waited, taken.row))

    def book(self, flush: Flush, ledger: Ledger, choice: Choice, crossings: CrossingLog) -> Counter[str]:
        """Count what was added since the last time; gives what to add to the tally."""
        booked, self._booked = self._booked, []
        for sent in (True, False):
            mine = [one for one in booked if one[3] is sent]
            if mine:
                self._book(flush, mine, ledger, choice, crossings, sent=sent)
        if self._lags:
            self._book_lags(ledger)
        news, self._skewed = Counter(skewed=self._skewed), 0
        self.skew, self._skew = self._skew, None
        return +news

    def _book(
        self,
        flush: Flush,
        mine: list[tuple[int, int, float, bool]],
        ledger: Ledger,
        choice: Choice,
        crossings: CrossingLog,
        *,
        sent: bool,
    ) -> None:
        spans = np.array([one[0] for one in mine], np.int64)
        rows = np.array([one[1] for one in mine], np.int64)
        choice.offer(rows, flush.key[spans], flush.bucket[spans], flush.outcome[spans])
        crossings.use(flush.trace[spans], rows)
        ledger.add(
            flush.end[spans] // STEP_NS,
            rows,
            weight=flush.weight[spans],
            raw=np.array([one[2] for one in mine]),
            outcome=flush.outcome[spans],
            client=flush.bucket[spans] if sent else None,
            server=None if sent else flush.bucket[spans],
        )

    def _book_lags(self, ledger: Ledger) -> None:
        row, at, weight, seconds = (np.array(column) for column in zip(*self._lags, strict=True))
        self._lags = []
        ledger.add(
            at // STEP_NS,
            row,
            weight=weight,
            raw=np.zeros(len(row)),
            outcome=np.full(len(row), Outcome.OK, np.int8),
            client=bucket_of(seconds),
        )

    def parties(self) -> I64:
        """The queues that contexts name."""
        return np.array([one.queue for one in self.contexts.values()], np.int64)

    def renumber(self, parties: I64, rows: I64) -> None:
        """Give queues and edges their new numbers; all queues have one."""
        self.contexts = {
            key: Context(int(parties[one.queue]), one.sent) for key, one in self.contexts.items()
        }
        self._taken = {
            key: Taken(int(rows[one.row]), one.at, one.weight)
            for key, one in self._taken.items()
            if rows[one.row] >= 0
        }
