"""The join: halves of calls become edges, once each, whichever half came first.

A caller's span (CLIENT, PRODUCER) and a callee's (SERVER, CONSUMER) meet under the key of the caller's span.
Halves without a partner wait, bounded in number and age. A call is counted from the caller's half and completed
when the other comes in time; a half that stays alone is drawn to the peer its attributes name, or dropped and
counted. Rules: OpenTelemetry semantic conventions (reference: topology 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats, bucket_of
from app.model.trace import SpanKind
from collectors.otlp_wire import Wanted
from collectors.span_columns import I64, U64, Batch, Bools, Picked, Rows, mix
from collectors.span_ledger import STEP_NS, Ledger
from collectors.span_parties import EdgeRows, Parties
from collectors.span_peers import (
    MOST_MESSAGES,
    PEER_KEYS,
    PROTOCOL_KEYS,
    STATUS_KEYS,
    URL_KEYS,
    Peer,
    Role,
    outcome_of,
    peer_of,
    protocol_of,
)

# One waiting half. peer: party its attributes name, -1 = none. span: index in the flush it came with, -1 = before.
HALF = np.dtype(
    [
        ("key", "u8"),
        ("party", "i8"),
        ("peer", "i8"),
        ("end", "i8"),
        ("arrived", "i8"),
        ("weight", "f8"),
        ("bucket", "i8"),
        ("outcome", "i1"),
        ("queued", "?"),
        ("protocol", "i4"),
        ("span", "i4"),
    ]
)
Halves = NDArray[np.void]

_MAX_CONTEXTS = 50_000
_MAX_PEERS = 20_000
ANY = -1  # a peer that is the same for every caller
_MAX_PROTOCOLS = 1000


@dataclass(slots=True)
class Flush:
    """All spans of several batches in columns; `read` and `links` reach back to single spans."""

    batches: Sequence[Batch]
    batch: I64
    row: I64
    key: U64
    parent: U64
    root: Bools
    kind: NDArray[np.int8]
    end: I64
    bucket: I64
    outcome: NDArray[np.int8]
    weight: Floats
    party: I64
    version_row: I64
    arrived: I64

    def rows(self, span: int) -> Rows:
        """Where the details of a span are found, under the number in `row`."""
        return self.batches[int(self.batch[span])].rows

    def read(self, span: int, wanted: Wanted) -> dict[str, str]:
        """The wanted attributes of one span."""
        rows = self.rows(span)
        return rows.attributes(rows.pick(int(self.row[span]), wanted))

    def links(self, span: int) -> list[int]:
        """Keys of the spans it links to."""
        found = self.rows(span).links(int(self.row[span]))
        return [mix(*link) for link in found if len(link[0]) == 16 and len(link[1]) == 8]


def gather(batches: Sequence[Batch], parties: Parties) -> Flush:
    """Batches side by side, with parties and outcomes looked up."""
    party, version_row = _origins(batches, parties)
    seconds = np.concatenate([(b.end - b.start) for b in batches]) / 1e9
    lengths = [len(b) for b in batches]
    flush = Flush(
        batches=batches,
        batch=np.repeat(np.arange(len(batches)), lengths),
        row=np.concatenate([b.row for b in batches]).astype(np.int64),
        key=np.concatenate([b.key for b in batches]),
        parent=np.concatenate([b.parent for b in batches]),
        root=np.concatenate([b.root for b in batches]),
        kind=np.concatenate([b.kind for b in batches]),
        end=np.concatenate([b.end for b in batches]),
        bucket=bucket_of(seconds),
        outcome=np.zeros(sum(lengths), np.int8),
        weight=np.concatenate([b.weight for b in batches]),
        party=party,
        version_row=version_row,
        arrived=np.repeat(np.array([b.arrived for b in batches], np.int64), lengths),
    )
    error = np.concatenate([b.error for b in batches]) & (flush.kind > SpanKind.INTERNAL)
    known: dict[Picked, int] = {}
    for span in np.flatnonzero(error).tolist():
        rows = flush.rows(span)
        picked = rows.pick(int(flush.row[span]), STATUS_KEYS)
        if picked not in known:
            known[picked] = outcome_of(rows.attributes(picked))
        flush.outcome[span] = known[picked]
    return flush


def _origins(batches: Sequence[Batch], parties: Parties) -> tuple[I64, I64]:
    party, version_row = [], []
    for batch in batches:
        numbers = [parties.service(o.service) if o.service else -1 for o in batch.origins]
        rows = [
            parties.version_row(number, o.version) if number >= 0 else -1
            for number, o in zip(numbers, batch.origins, strict=True)
        ]
        party.append(np.array(numbers, np.int64)[batch.origin])
        version_row.append(np.array(rows, np.int64)[batch.origin])
    return np.concatenate(party), np.concatenate(version_row)


def match(callers: U64, callees: U64) -> tuple[I64, I64]:
    """Indexes of pairs with equal keys: each caller at most once, with one of its callees.

    `callers` come sorted and distinct. The callees are sorted too: searchsorted with sorted probes is eight
    times as fast as with random ones.
    """
    if not len(callers) or not len(callees):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(callees)
    probes = callees[order]
    place = np.minimum(np.searchsorted(callers, probes), len(callers) - 1)
    hit = callers[place] == probes
    hit[1:] &= probes[1:] != probes[:-1]
    return place[hit], order[hit]


def in_order(halves: Halves) -> Halves:
    """Halves sorted by key, one of each."""
    ordered: Halves = halves[np.argsort(halves["key"])]
    distinct = np.ones(len(ordered), bool)
    distinct[1:] = ordered["key"][1:] != ordered["key"][:-1]
    return ordered if distinct.all() else ordered[distinct]


def _fresh(batch: Batch, oldest_step: int) -> Batch:
    """The batch without spans of steps that are not kept any more."""
    kept = batch.end >= oldest_step * STEP_NS
    if kept.all():
        return batch
    columns = ("origin", "row", "key", "parent", "root", "kind", "start", "end", "error", "weight")
    return replace(batch, **{name: getattr(batch, name)[kept] for name in columns})


class Joiner:
    """The state of one cluster's joins. Not thread-safe: its owner holds a lock."""

    def __init__(self, *, wait_seconds: float = 10.0, max_waiting: int = 500_000) -> None:
        self.parties = Parties()
        self.edges = EdgeRows()
        self.edge_ledger = Ledger()
        self.node_ledger = Ledger()
        self.callers: Halves = np.zeros(0, HALF)
        self.callees: Halves = np.zeros(0, HALF)
        self.protocols: list[str] = [""]
        self._protocols: dict[str, int] = {"": 0}
        self.tally: Counter[str] = Counter()
        self._contexts: dict[int, int] = {}
        self._peers: dict[tuple[Picked, int, int], tuple[Peer, int]] = {}
        self._wait_ns = int(wait_seconds * 1e9)
        self._max_waiting = max_waiting
        self._oldest_step = 0

    @property
    def waiting(self) -> int:
        """Halves without a partner so far."""
        return len(self.callers) + len(self.callees)

    @property
    def full(self) -> bool:
        """Whether the registers are so large that the owner should start a new joiner."""
        return self.parties.full or self.edges.full

    def forget(self, before: int) -> None:
        """Drop steps older than `before`, and from now on refuse spans of them as too late."""
        self._oldest_step = max(self._oldest_step, before)
        self.edge_ledger.forget(before)
        self.node_ledger.forget(before)

    def join(self, batches: Sequence[Batch], now_ns: int) -> None:
        """Take in new spans, make pairs, and settle halves that waited long enough."""
        fresh = [_fresh(batch, self._oldest_step) for batch in batches]
        self.tally["late"] += sum(map(len, batches)) - sum(map(len, fresh))
        if any(map(len, fresh)):
            flush = gather(fresh, self.parties)
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
        self._expire(now_ns)

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

    # Queues ------------------------------------------------------------------------------------------

    def _queue_spans(self, flush: Flush, spans: I64) -> I64:
        """Book PRODUCER or CONSUMER spans; those that turn out to be plain calls are given back."""
        plain, handled = [], []
        for span in spans.tolist():
            peer, queue = self._peer(flush, span)
            if peer.role is Role.SERVE and self._context(flush, span) >= 0:
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
        if peer.role is Role.IGNORED:
            return
        if peer.identity is None:
            queue = self._context(flush, span)
        if queue < 0:
            self.tally["unattributed"] += 1
            return
        if peer.role in (Role.SEND, Role.CREATE):
            self._remember(int(flush.key[span]), queue)
        if peer.role is not Role.CREATE:
            # A PRODUCER span that sends is its message's own creation context: its links mean something else.
            links = 0 if flush.kind[span] == SpanKind.PRODUCER else len(flush.links(span))
            messages = max(peer.messages or min(links, MOST_MESSAGES), 1)
            self._book_queue(flush, span, queue, peer.role, messages)

    def _book_queue(self, flush: Flush, span: int, queue: int, role: Role, messages: int) -> None:
        party = int(flush.party[span])
        ends = (queue, party) if role in (Role.RECEIVE, Role.PROCESS) else (party, queue)
        one = np.array([span])
        self.edge_ledger.add(
            flush.end[one] // STEP_NS,
            np.array([self.edges.row(*ends, role, "messaging")]),
            weight=flush.weight[one],
            raw=np.array([float(messages)]),
            outcome=flush.outcome[one],
            client=flush.bucket[one] if role is Role.SEND else None,
            server=flush.bucket[one] if role is not Role.SEND else None,
        )

    def _context(self, flush: Flush, span: int) -> int:
        """The queue a message came through, by its creation context: a linked span or the parent; -1 = not known."""
        contexts = [*flush.links(span), int(flush.parent[span])]
        return next((self._contexts[key] for key in contexts if key in self._contexts), -1)

    def _remember(self, key: int, queue: int) -> None:
        """Keep where a message went, for consumers that only link to its creation."""
        self._contexts[key] = queue
        if len(self._contexts) > _MAX_CONTEXTS:
            del self._contexts[next(iter(self._contexts))]

    # Calls -------------------------------------------------------------------------------------------

    def _entries(self, flush: Flush, serving: I64) -> None:
        """A server span without a parent is a call from outside."""
        spans = serving[flush.root[serving] & (flush.kind[serving] == SpanKind.SERVER)]
        call = np.full(len(spans), Role.CALL, np.int64)
        rows = self.edges.rows(np.full(len(spans), self.parties.user), flush.party[spans], call)
        for row, span in self._unlooked(rows, flush.end[spans], spans):
            told = protocol_of(flush.read(span, PROTOCOL_KEYS))
            self.edges.protocol[row] = told or self.edges.protocol[row]
        self.edge_ledger.add(
            flush.end[spans] // STEP_NS,
            rows,
            weight=flush.weight[spans],
            raw=np.ones(len(spans)),
            outcome=flush.outcome[spans],
            server=flush.bucket[spans],
        )

    def _pair(self, flush: Flush, calling: I64, serving: I64) -> None:
        came = np.concatenate([self.callers, self._halves(flush, calling, flush.key)])
        callees = np.concatenate([self.callees, self._halves(flush, serving, flush.parent)])
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

    def _halves(self, flush: Flush, spans: I64, key: U64) -> Halves:
        made = np.zeros(len(spans), HALF)
        made["key"] = key[spans]
        for name in ("party", "end", "arrived", "weight", "bucket", "outcome"):
            made[name] = getattr(flush, name)[spans]
        made["queued"] = flush.kind[spans] >= SpanKind.PRODUCER
        made["peer"], made["span"] = -1, spans
        return made

    def _book_pairs(self, flush: Flush, callers: Halves, callees: Halves) -> None:
        itself = callers["party"] == callees["party"]
        self.tally["self_calls"] += int(itself.sum())
        callers, callees = callers[~itself], callees[~itself]
        role = np.where(callers["queued"] | callees["queued"], np.int64(Role.SERVE), np.int64(Role.CALL))
        rows = self.edges.rows(callers["party"], callees["party"], role)
        self._look(flush, rows, callers, callees)
        self.edge_ledger.add(
            callers["end"] // STEP_NS,
            rows,
            weight=np.maximum(callers["weight"], callees["weight"]),
            raw=np.ones(len(rows)),
            outcome=_either(callers["outcome"], callees["outcome"]),
            client=callers["bucket"],
            server=callees["bucket"],
        )

    def _look(self, flush: Flush, rows: I64, callers: Halves, callees: Halves) -> None:
        """Learn from one call of each edge a minute what it speaks and under which name the callee is called."""
        waited = callers["peer"] >= 0
        for code in np.unique((callers["peer"][waited] << 32) | callees["party"][waited]).tolist():
            self.parties.answered(code >> 32, code & 0xFFFFFFFF)
        for row, call in self._unlooked(rows, callers["end"], np.arange(len(rows))):
            span = int(callers["span"][call])
            if span < 0:
                told = self.protocols[callers["protocol"][call]]
            else:
                peer, number = self._peer(flush, span)
                told = peer.protocol
                if number >= 0:
                    self.parties.answered(number, int(callees["party"][call]))
            self.edges.protocol[row] = told or self.edges.protocol[row]

    def _unlooked(self, rows: I64, end: I64, what: I64) -> list[tuple[int, int]]:
        """(row, one of `what`) for each row that was not looked at for a minute of its own time."""
        found = []
        for row, at in self._one_of_each(rows):
            if self.edges.due(row, int(end[at]) // STEP_NS):
                found.append((row, int(what[at])))
        return found

    def _peer(self, flush: Flush, span: int) -> tuple[Peer, int]:
        """The peer that a span names, and its party (-1 = none named); equal attributes are read once."""
        rows, row = flush.rows(span), int(flush.row[span])
        kind, caller = int(flush.kind[span]), int(flush.party[span])
        picked = rows.pick(row, PEER_KEYS)
        known = self._peers.get((picked, kind, ANY)) or self._peers.get((picked, kind, caller))
        if known is not None:
            return known
        attributes, scope = rows.attributes(picked), self.parties.scope(caller)
        peer = peer_of(attributes, kind=SpanKind(kind), caller=scope)
        placed = peer.placed
        if not placed:
            attributes |= rows.attributes(rows.pick(row, URL_KEYS))
            peer = peer_of(attributes, kind=SpanKind(kind), caller=scope)
        found = peer, self.parties.peer(peer.identity, caller) if peer.identity is not None else -1
        if placed:
            scoped = peer.identity is None or peer.identity.scope != ""
            self._keep_peer((picked, kind, caller if scoped else ANY), found)
        return found

    def _keep_peer(self, key: tuple[Picked, int, int], found: tuple[Peer, int]) -> None:
        if len(self._peers) >= _MAX_PEERS:
            self._peers.clear()
        self._peers[key] = found

    def _name_peers(self, flush: Flush, alone: Halves) -> Halves:
        """Ask callers that no server span answered whom they called; stores and queues are booked at once."""
        keep: list[bool] = []
        numbers: list[int] = []
        protocols: list[int] = []
        for span in alone["span"].tolist():
            peer, number = self._peer(flush, span)
            calls = peer.role in (Role.CALL, Role.SERVE)
            if not calls:
                self._queue_span(flush, span, peer, number)
            keep.append(calls and not peer.certain)
            numbers.append(number if calls else -1)
            protocols.append(self._protocol(peer.protocol))
        alone["peer"], alone["protocol"], alone["span"] = numbers, protocols, -1
        waits = np.array(keep, bool)
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
        for row, at in self._one_of_each(rows):
            self.edges.protocol[row] = self.edges.protocol[row] or self.protocols[halves["protocol"][at]]
        return rows

    def _one_of_each(self, rows: I64) -> list[tuple[int, int]]:
        """(row, index of one of its occurrences), without sorting."""
        at = np.full(len(self.edges), -1)
        at[rows] = np.arange(len(rows))
        distinct = np.flatnonzero(at >= 0)
        return list(zip(distinct.tolist(), at[distinct].tolist(), strict=True))

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
        self.tally["orphans"] += int(callees.sum())
        self.callers, self.callees = self.callers[~callers], self.callees[~callees]


def _either(caller: NDArray[np.int8], callee: NDArray[np.int8]) -> NDArray[np.int8]:
    """How a call ended, from both sides: a code decides over a bare ERROR, a failure over a caller's fault."""
    return np.maximum(caller, callee)
