"""The spans of one join side by side, with a way back to single ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.model.series import Floats, bucket_of
from app.model.trace import SpanKind
from app.understand.rules import Hosts
from collectors.otlp_wire import Wanted
from collectors.span_columns import Batch, mix
from collectors.span_crossing import U32, short
from collectors.span_fields import I64, U64, Bools
from collectors.span_ledger import STEP_NS
from collectors.span_pairs import HALF, Halves
from collectors.span_parties import Parties
from collectors.span_peers import PEER_KEYS, STATUS_KEYS, URL_KEYS, Peer, outcome_of, peer_of
from collectors.span_rows import Picked, Rows
from collectors.span_seen import Seen

_MAX_PEERS = 20_000
_MOST_LETTERS = 2_000  # attributes longer than this together are read anew each time rather than kept
_BY_KIND = np.arange(8, dtype=np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)  # unlike any difference of ids
_ANY = -1  # a peer that is the same for every caller


@dataclass(slots=True)
class Flush:
    """All spans of several batches in columns; `read` and `links` reach back to single spans."""

    batches: Sequence[Batch]
    batch: I64
    row: I64
    trace: U32
    key: U64
    parent: U64
    root: Bools
    kind: NDArray[np.int8]
    start: I64
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

    def pick(self, spans: I64, wanted: Wanted) -> list[Picked]:
        """The wanted attributes of some spans, undecoded; batch by batch."""
        found: list[Picked] = [()] * len(spans)
        batch, row = self.batch[spans], self.row[spans]
        for number in np.unique(batch).tolist():
            places = np.flatnonzero(batch == number)
            picked = self.batches[number].rows.pick(row[places].tolist(), wanted)
            for place, one in zip(places.tolist(), picked, strict=True):
                found[place] = one
        return found

    def read(self, spans: I64, wanted: Wanted) -> Iterator[dict[str, str]]:
        """The wanted attributes of some spans as text."""
        for span, picked in zip(spans.tolist(), self.pick(spans, wanted), strict=True):
            yield self.rows(span).attributes(picked)

    def links(self, span: int) -> list[int]:
        """Keys of the spans it links to."""
        found = self.rows(span).links(int(self.row[span]))
        return [mix(*link) for link in found if len(link[0]) == 16 and len(link[1]) == 8]


def gather(batches: Sequence[Batch], parties: Parties) -> Flush:
    """Batches side by side, with parties and outcomes looked up."""
    party, version_row = _origins(batches, parties)
    lengths = [len(b) for b in batches]
    flush = Flush(
        batches=batches,
        batch=np.repeat(np.arange(len(batches)), lengths),
        row=np.concatenate([b.row for b in batches]).astype(np.int64),
        trace=short(np.concatenate([b.trace for b in batches])),
        key=np.concatenate([b.key for b in batches]),
        parent=np.concatenate([b.parent for b in batches]),
        root=np.concatenate([b.root for b in batches]),
        kind=np.concatenate([b.kind for b in batches]),
        start=np.concatenate([b.start for b in batches]),
        end=np.concatenate([b.end for b in batches]),
        bucket=bucket_of(np.concatenate([(b.end - b.start) for b in batches]) / 1e9),
        outcome=np.zeros(sum(lengths), np.int8),
        weight=np.concatenate([b.weight for b in batches]),
        party=party,
        version_row=version_row,
        arrived=np.repeat(np.array([b.arrived for b in batches], np.int64), lengths),
    )
    error = np.concatenate([b.error for b in batches]) & (flush.kind > SpanKind.INTERNAL)
    known: dict[Picked, int] = {}
    failed = np.flatnonzero(error)
    for span, picked in zip(failed.tolist(), flush.pick(failed, STATUS_KEYS), strict=True):
        if picked not in known:
            known[picked] = outcome_of(flush.rows(span).attributes(picked))
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


def halves_of(flush: Flush, spans: I64, key: U64) -> Halves:
    """Some spans as halves of calls; `key` is the column under which they are to meet."""
    made = np.zeros(len(spans), HALF)
    made["key"] = key[spans]
    for name in ("party", "end", "arrived", "weight", "bucket", "outcome", "trace", "root"):
        made[name] = getattr(flush, name)[spans]
    made["queued"] = flush.kind[spans] >= SpanKind.PRODUCER
    made["peer"], made["span"] = -1, spans
    return made


def first_times(batches: Sequence[Batch], seen: Seen, step: int) -> list[Batch]:
    """The batches without spans that came before. `step` is that of now; spans that count for nothing are not asked."""
    key, kind = (np.concatenate([getattr(b, name) for b in batches]) for name in ("key", "kind"))
    asked = np.flatnonzero(kind > SpanKind.INTERNAL)
    new = np.ones(len(key), bool)
    # The two halves of a call have one id where they come from Zipkin.
    new[asked] = seen.new(key[asked] ^ _BY_KIND[kind[asked] & 7], step)
    if new.all():
        return [*batches]
    ends = np.cumsum([len(b) for b in batches])
    return [b.only(new[end - len(b) : end]) for b, end in zip(batches, ends.tolist(), strict=True)]


def fresh(batch: Batch, oldest_step: int) -> Batch:
    """The batch without spans of steps that are not kept any more."""
    kept = batch.end >= oldest_step * STEP_NS
    return batch if kept.all() else batch.only(kept)


class PeerReader:
    """Reads whom spans call; spans with equal attributes are read once."""

    def __init__(self, parties: Parties, hosts: Hosts) -> None:
        self._parties, self._hosts = parties, hosts
        self._known: dict[tuple[Picked, int, int], tuple[Peer, int]] = {}

    def of(self, flush: Flush, spans: I64) -> Iterator[tuple[Peer, int]]:
        """For each span the peer that it names, and its party (-1 = none named)."""
        columns = (flush.batch[spans], flush.row[spans], flush.kind[spans], flush.party[spans])
        told = zip(flush.pick(spans, PEER_KEYS), *(column.tolist() for column in columns), strict=True)
        for picked, batch, row, kind, caller in told:
            known = self._known.get((picked, kind, _ANY)) or self._known.get((picked, kind, caller))
            yield known or self._read(flush.batches[batch].rows, row, picked, SpanKind(kind), caller)

    def _read(self, rows: Rows, row: int, picked: Picked, kind: SpanKind, caller: int) -> tuple[Peer, int]:
        attributes, scope = rows.attributes(picked), self._parties.scope(caller)
        peer = peer_of(attributes, kind=kind, caller=scope)
        placed = peer.placed
        if not placed:
            attributes |= rows.attributes(rows.pick([row], URL_KEYS)[0])
            peer = peer_of(attributes, kind=kind, caller=scope)
        if peer.identity is not None:
            peer = replace(peer, identity=self._hosts.grouped(peer.identity))
        found = peer, self._parties.peer(peer.identity, caller) if peer.identity is not None else -1
        if placed:
            scoped = peer.identity is None or peer.identity.scope != "" or self._parties.is_other(found[1])
            self._keep((picked, int(kind), caller if scoped else _ANY), found)
        return found

    def _keep(self, key: tuple[Picked, int, int], found: tuple[Peer, int]) -> None:
        if sum(map(len, key[0])) > _MOST_LETTERS:
            return
        if len(self._known) >= _MAX_PEERS:
            self._known.clear()
        self._known[key] = found
