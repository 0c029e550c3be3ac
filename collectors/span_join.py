"""The join: halves of calls become edges, once each, whichever half came first.

A caller's span (CLIENT, PRODUCER) and a callee's (SERVER, CONSUMER) meet under the key of the caller's span.
Halves without a partner wait, bounded in number and age. A call is counted from the caller's half and completed
when the other comes in time; a half that stays alone is drawn to the peer its attributes name, or dropped and
counted. Rules: OpenTelemetry semantic conventions (reference: topology 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.model.trace import SpanKind
from app.understand.rules import Hosts
from collectors.span_choice import Choice
from collectors.span_columns import Batch, Off, farthest
from collectors.span_crossing import CrossingLog
from collectors.span_edges import EdgeRows
from collectors.span_fields import I64, Bools
from collectors.span_flush import Flush, PeerReader, first_times, fresh, gather, halves_of
from collectors.span_folded import Limits
from collectors.span_ledger import STEP_NS, Ledger
from collectors.span_pairs import HALF, Halves, either, in_order, match
from collectors.span_parties import Parties
from collectors.span_peers import PROTOCOL_KEYS, Peer, Role, protocol_of
from collectors.span_queues import Queues
from collectors.span_seen import Seen

_MAX_PROTOCOLS = 1000


class Joiner:
    """The state of one cluster's joins. Not thread-safe: its owner holds a lock."""

    def __init__(
        self,
        *,
        wait_seconds: float = 10.0,
        max_waiting: int = 500_000,
        limits: Limits | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        self.parties = Parties(limits or Limits())
        self.edges = EdgeRows(self.parties)
        self.edge_ledger = Ledger()
        self.node_ledger = Ledger()
        self.choice = Choice()
        self.crossings = CrossingLog()
        self.callers: Halves = np.zeros(0, HALF)
        self.callees: Halves = np.zeros(0, HALF)
        self.protocols: list[str] = [""]
        self._protocols: dict[str, int] = {"": 0}
        self.tally: Counter[str] = Counter()
        self.worst: dict[
            str, Off
        ] = {}  # of what the tally counts, the span or message whose time is off most
        self._queues = Queues()
        self._seen = Seen()
        self._hosts = hosts or Hosts()
        self._peers = PeerReader(self.parties, self._hosts)
        self._wait_ns = int(wait_seconds * 1e9)
        self._max_waiting = max_waiting
        self._oldest_step = 0

    @property
    def waiting(self) -> int:
        """Halves without a partner so far."""
        return len(self.callers) + len(self.callees)

    def forget(self, before: int) -> None:
        """Drop steps older than `before`, and from now on refuse spans of them as too late.

        Full registers drop what is not in use any more, once a step at most.
        """
        self.edge_ledger.forget(before)
        self.node_ledger.forget(before)
        self.parties.folded.forget(before)
        if before > self._oldest_step and (self.parties.full or self.edges.full):
            self._compact()
        self._oldest_step = max(self._oldest_step, before)

    def _compact(self) -> None:
        """Number anew the parties and edges that are in use, and forget all others."""
        rows = self.edge_ledger.rows()
        halves = [self.callers["party"], self.callers["peer"], self.callees["party"]]
        ends = [np.array(side, np.int64)[rows] for side in (self.edges.source, self.edges.target)]
        used = np.unique(np.concatenate([*halves, *ends, self._queues.parties()]))
        self.parties, renamed, version_map = self.parties.compacted(
            used[used >= 0].tolist(), self.node_ledger.rows().tolist()
        )
        self.edges, row_map = self.edges.compacted(rows.tolist(), self.parties, renamed)
        self.edge_ledger.renumber(row_map)
        self.node_ledger.renumber(version_map)
        self.choice.keep(rows)
        for half in (self.callers, self.callees):
            half["party"] = renamed[half["party"]]
            half["peer"] = np.where(half["peer"] >= 0, renamed[half["peer"]], -1)
        self._queues.renumber(renamed, row_map)
        self.crossings.renumber(renamed, row_map)
        self._peers = PeerReader(self.parties, self._hosts)
        self.tally["compactions"] += 1

    def join(self, batches: Sequence[Batch], now_ns: int) -> None:
        """Take in new spans, make pairs, and settle halves that waited long enough."""
        step = now_ns // STEP_NS
        self.choice.begin(now_ns)
        self.crossings.begin(step)
        self.parties.folded.step = step
        kept = self._worth(batches, now_ns)
        if kept:
            flush = gather(kept, self.parties)
            self._count_nodes(flush)
            producers = np.flatnonzero(flush.kind == SpanKind.PRODUCER)
            consumers = np.flatnonzero(flush.kind == SpanKind.CONSUMER)
            calling = np.concatenate(
                [np.flatnonzero(flush.kind == SpanKind.CLIENT), self._queue_spans(flush, producers)]
            )
            serving = np.concatenate(
                [np.flatnonzero(flush.kind == SpanKind.SERVER), self._queue_spans(flush, consumers)]
            )
            self._entries(flush, serving)
            self._pair(flush, calling, serving[~flush.root[serving]])
            self.tally += self._queues.book(flush, self.edge_ledger, self.choice, self.crossings)
            if self._queues.skew is not None:
                by, row = self._queues.skew
                self.worst["skewed"] = by, self.parties.identities[self.edges.target[row]].name
        self._expire(now_ns)
        self.tally.update(self.parties.folded.events)
        self.parties.folded.events.clear()

    def _worth(self, batches: Sequence[Batch], now_ns: int) -> list[Batch]:
        """Batches of spans that count: neither too late nor taken before."""
        young = [fresh(batch, self._oldest_step) for batch in batches]
        late = [
            farthest(batch.origins, batch.origin, now_ns - batch.end, batch.end < self._oldest_step * STEP_NS)
            for batch, kept in zip(batches, young, strict=True)
            if len(kept) < len(batch)
        ]
        if told := [off for off in late if off]:
            self.worst["late"] = max(told)
        young = [batch for batch in young if len(batch)]
        new = first_times(young, self._seen, now_ns // STEP_NS) if young else []
        came, left = sum(map(len, batches)), sum(map(len, young))
        self.tally["late"] += came - left
        self.tally["doubles"] += left - sum(map(len, new))
        return [batch for batch in new if len(batch)]

    def _count_nodes(self, flush: Flush) -> None:
        self.node_ledger.seen(int(flush.arrived.max()) // STEP_NS, np.unique(flush.version_row))
        served = np.flatnonzero(flush.kind == SpanKind.SERVER)
        self._add_nodes(flush, served)

    def _add_nodes(self, flush: Flush, spans: I64) -> None:
        self.node_ledger.add(
            flush.end[spans] // STEP_NS,
            flush.version_row[spans],
            weight=flush.weight[spans],
            raw=np.ones(len(spans)),
            outcome=flush.outcome[spans],
            server=flush.bucket[spans],
        )

    def _queue_spans(self, flush: Flush, spans: I64) -> I64:
        """Book PRODUCER or CONSUMER spans; those that turn out to be plain calls are given back."""
        plain, handled = [], []
        for span, (peer, queue) in zip(spans.tolist(), self._peers.of(flush, spans), strict=True):
            if peer.role is Role.SERVE and self._queues.knows(flush, span):
                peer = Peer(None, "messaging", Role.PROCESS)
            if peer.role in (Role.CALL, Role.SERVE):
                plain.append(span)
            else:
                self._queue_span(flush, span, peer, queue)
            if flush.kind[span] == SpanKind.CONSUMER and peer.role is not Role.RECEIVE:
                handled.append(span)
        self._add_nodes(flush, np.array(handled, np.int64))
        return np.array(plain, np.int64)

    def _queue_span(self, flush: Flush, span: int, peer: Peer, queue: int) -> None:
        if not self._queues.add(flush, span, peer, queue, self.edges):
            self.tally["unattributed"] += 1

    # Calls -------------------------------------------------------------------------------------------

    def _entries(self, flush: Flush, serving: I64) -> None:
        """A server span without a parent is a call from outside."""
        spans = serving[flush.root[serving] & (flush.kind[serving] == SpanKind.SERVER)]
        self.crossings.enter(flush.trace[spans], flush.party[spans], flush.weight[spans])
        call = np.full(len(spans), Role.CALL, np.int64)
        rows = self.edges.rows(np.full(len(spans), self.parties.user), flush.party[spans], call)
        looked = self.edges.unlooked(rows, flush.end[spans] // STEP_NS)
        asked = spans[[at for _, at in looked]]
        for (row, _), attributes in zip(looked, flush.read(asked, PROTOCOL_KEYS), strict=True):
            self.edges.learn(row, protocol_of(attributes))
        self.choice.offer(rows, flush.key[spans], flush.bucket[spans], flush.outcome[spans])
        self.crossings.use(flush.trace[spans], rows)
        self.edge_ledger.add(
            flush.end[spans] // STEP_NS,
            rows,
            weight=flush.weight[spans],
            raw=np.ones(len(spans)),
            outcome=flush.outcome[spans],
            server=flush.bucket[spans],
        )

    def _pair(self, flush: Flush, calling: I64, serving: I64) -> None:
        came = np.concatenate([self.callers, halves_of(flush, calling, flush.key)])
        callees = np.concatenate([self.callees, halves_of(flush, serving, flush.parent)])
        callers = in_order(came)
        self.tally["doubles"] += len(came) - len(callers)
        left, right = match(callers["key"], callees["key"])
        self._book_pairs(flush, callers[left], callees[right])
        alone, unclaimed = np.ones(len(callers), bool), np.ones(len(callees), bool)
        alone[left], unclaimed[right] = False, False
        new = callers["span"] >= 0
        asked = self._name_peers(flush, callers[alone & new])
        self.callers = np.concatenate([callers[alone & ~new], asked])
        self.callees = callees[unclaimed]

    def _book_pairs(self, flush: Flush, callers: Halves, callees: Halves) -> None:
        itself = callers["party"] == callees["party"]
        self.tally["self_calls"] += int(itself.sum())
        callers, callees = callers[~itself], callees[~itself]
        role = np.where(callers["queued"] | callees["queued"], np.int64(Role.SERVE), np.int64(Role.CALL))
        rows = self.edges.rows(callers["party"], callees["party"], role)
        self._look(flush, rows, callers, callees)
        outcome = either(callers["outcome"], callees["outcome"])
        self.choice.offer(rows, callers["key"], callers["bucket"], outcome)
        self._enter(callers[callers["root"]])
        self.crossings.use(callers["trace"], rows)
        self.edge_ledger.add(
            callers["end"] // STEP_NS,
            rows,
            weight=np.maximum(callers["weight"], callees["weight"]),
            raw=np.ones(len(rows)),
            outcome=outcome,
            client=callers["bucket"],
            server=callees["bucket"],
        )

    def _enter(self, halves: Halves, *, orphan: bool = False) -> None:
        """Requests enter here. Messages do not: who sent them did, or nobody asked for them."""
        halves = halves[~halves["queued"]]
        self.crossings.enter(halves["trace"], halves["party"], halves["weight"], orphan=orphan)

    def _look(self, flush: Flush, rows: I64, callers: Halves, callees: Halves) -> None:
        """Learn from one call of each edge a minute what it speaks and under which name the callee is called."""
        waited = callers["peer"] >= 0
        for code in np.unique((callers["peer"][waited] << 32) | callees["party"][waited]).tolist():
            self.parties.answered(code >> 32, code & 0xFFFFFFFF)
        looked = np.array(self.edges.unlooked(rows, callers["end"] // STEP_NS), np.int64).reshape(-1, 2)
        row, call = looked.T
        asked = callers["span"][call] >= 0
        for number, call_seen in looked[~asked].tolist():
            self.edges.learn(number, self.protocols[callers["protocol"][call_seen]])
        service = callees["party"][call[asked]].tolist()
        peers = self._peers.of(flush, callers["span"][call[asked]])
        for number, callee, (peer, party) in zip(row[asked].tolist(), service, peers, strict=True):
            self.edges.learn(number, peer.protocol)
            if party >= 0:
                self.parties.answered(party, callee)

    def _name_peers(self, flush: Flush, alone: Halves) -> Halves:
        """Ask callers that no server span answered whom they called; stores and queues are booked at once."""
        named = list(self._peers.of(flush, alone["span"]))
        numbers: dict[int, int] = {}  # spans with equal attributes name the same object
        which = np.array([numbers.setdefault(id(one), len(numbers)) for one in named], np.int64)
        told = list({id(one): one for one in named}.values())
        calls = np.array([peer.role in (Role.CALL, Role.SERVE) for peer, _ in told], bool)[which]
        for at in np.flatnonzero(~calls).tolist():
            self._queue_span(flush, int(alone["span"][at]), *named[at])
        alone["peer"] = np.where(calls, np.array([party for _, party in told], np.int64)[which], -1)
        alone["protocol"] = np.array([self._protocol(peer.protocol) for peer, _ in told], np.int32)[which]
        alone["span"] = -1
        waits = calls & ~np.array([peer.certain for peer, _ in told], bool)[which]
        self._book_alone(alone[~waits & (alone["peer"] >= 0)])
        waiting: Halves = alone[waits]
        return waiting

    def _protocol(self, text: str) -> int:
        number = self._protocols.get(text)
        if number is None:
            if len(self.protocols) >= _MAX_PROTOCOLS:
                return 0
            number = self._protocols[text] = len(self.protocols)
            self.protocols.append(text)
        return number

    def _book_alone(self, halves: Halves) -> None:
        """Calls drawn to the peer that the caller named; nobody answered in spans."""
        rows = self.alone_rows(halves)
        self.choice.offer(rows, halves["key"], halves["bucket"], halves["outcome"])
        self.crossings.use(halves["trace"], rows)
        self.edge_ledger.add(
            halves["end"] // STEP_NS,
            rows,
            weight=halves["weight"],
            raw=np.ones(len(halves)),
            outcome=halves["outcome"],
            client=halves["bucket"],
        )

    def alone_rows(self, halves: Halves) -> I64:
        """Edge rows of halves towards the peer they name."""
        role = np.where(halves["queued"], np.int64(Role.SERVE), np.int64(Role.CALL))
        rows = self.edges.rows(halves["party"], halves["peer"], role)
        for row, at in self.edges.one_of_each(rows):
            self.edges.protocol[row] = self.edges.protocol[row] or self.protocols[halves["protocol"][at]]
        return rows

    def _expire(self, now_ns: int) -> None:
        """Settle halves that waited long enough, and the oldest ones when there are too many."""
        until = now_ns - self._wait_ns
        self._settle(self.callers["arrived"] <= until, self.callees["arrived"] <= until)
        excess = self.waiting - self._max_waiting
        if excess > 0:
            self.tally["evicted"] += excess
            age = np.sort(np.concatenate([self.callers["arrived"], self.callees["arrived"]]))[excess - 1]
            self._settle(self.callers["arrived"] <= age, self.callees["arrived"] <= age)

    def _settle(self, callers: Bools, callees: Bools) -> None:
        done = self.callers[callers]
        named = done["peer"] >= 0
        self._book_alone(done[named])
        self.tally["unanswered"] += int(len(done) - named.sum())
        orphans = self.callees[callees]
        self._enter(orphans, orphan=True)
        self.tally["orphans"] += len(orphans)
        self.callers, self.callees = self.callers[~callers], self.callees[~callees]
