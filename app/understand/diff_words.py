"""The difference of two windows in words: the answer, what cannot be compared and why, and what changed in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from app.model.fleet import NodeKind
from app.model.series import Window
from app.understand.diff import Mark, Why
from app.understand.diff_rows import Change, Difference, Told
from app.understand.reasons import count, durations, percent, rate

SIGNS = {
    Mark.WORSE: "^",
    Mark.NEW: "+",
    Mark.GONE: "-",
    Mark.BETTER: "v",
    Mark.VOLUME: "~",
    Mark.INCOMPARABLE: "?",
    Mark.SAME: "=",
}
WORDS = {
    Mark.WORSE: "worse",
    Mark.NEW: "new",
    Mark.GONE: "gone",
    Mark.BETTER: "better",
    Mark.VOLUME: "volume",
    Mark.INCOMPARABLE: "not comparable",
    Mark.SAME: "same",
}
_VERBS = {
    Mark.WORSE: ("got worse", "got worse"),
    Mark.NEW: ("is new", "are new"),
    Mark.GONE: ("vanished", "vanished"),
    Mark.BETTER: ("got better", "got better"),
    Mark.VOLUME: ("carries another volume", "carry another volume"),
}
_BAD = (Mark.WORSE, Mark.NEW, Mark.GONE)
_LISTED = 3
_ENOUGH = 0.8  # share of a window below which the answer says what is missing


def answer(found: Sequence[Difference], zone: tzinfo = UTC) -> str:
    """What became of connections, then of services and nodes; versions that changed, and what cannot be compared."""
    if not found:
        return "Nothing is kept of one of the windows."
    edges, nodes = _counts(found, edges=True), _counts(found, edges=False)
    parts = [_of_edges(found, edges), _of_nodes(found, nodes, named=not _any(edges))]
    if not _any(edges):
        parts = [*parts[1:], parts[0]] if parts[1] else parts[:1]
    parts += _versions(found, zone)
    same = edges[Mark.SAME]
    if same and same != sum(edges.values()):
        parts.append(f"{_connections(same)} as before")
    if edges[Mark.INCOMPARABLE]:
        why = "; ".join(_reasons(found, zone))
        parts.append(
            f"{_connections(edges[Mark.INCOMPARABLE])} not comparable" + (f" ({why})" if why else "")
        )
    return ". ".join(part[:1].upper() + part[1:] for part in parts if part) + "."


def _connections(number: int) -> str:
    return f"{number} connection" + ("" if number == 1 else "s")


def _counts(found: Iterable[Difference], *, edges: bool) -> dict[Mark, int]:
    total = dict.fromkeys(Mark, 0)
    for one in found:
        for mark, number in (one.edge_counts if edges else one.node_counts).items():
            total[mark] += number
    return total


def _any(counts: dict[Mark, int]) -> bool:
    """Whether anything is clearly different."""
    return any(number for mark, number in counts.items() if mark in _VERBS)


def _of_edges(found: Sequence[Difference], counts: dict[Mark, int]) -> str:
    """`2 connections got worse, 1 vanished, first of all order → payment (errors 0 % → 12 %)`."""
    if not _any(counts):
        if not counts[Mark.SAME]:
            return "" if any(counts.values()) else "no connections are known"
        compared = "" if counts[Mark.INCOMPARABLE] else f" ({counts[Mark.SAME]} compared)"
        return f"no connection is new, gone or clearly different{compared}"
    first = _first(found, _BAD, 1, "edges")
    named = "".join(f", first of all {one.source_name} → {one.target_name} ({said(one)})" for one in first)
    return _told(counts, "connection", "connections") + named


def _of_nodes(found: Sequence[Difference], counts: dict[Mark, int], *, named: bool) -> str:
    """`2 services got worse: payment (errors 0.04 % → 2 %), order (p95 90 ms → 1.2 s)`; values where `named`."""
    if not _any(counts):
        return ""
    first = _first(found, tuple(_VERBS), _LISTED, "nodes")
    service = all(one.kind == NodeKind.SERVICE for one in first)
    told = _told(counts, *(("service", "services") if service else ("service or node", "services or nodes")))
    names = [f"{one.name} ({said(one)})" if named else one.name for one in first]
    more = sum(counts[mark] for mark in _VERBS) - len(names)
    return f"{told}: {', '.join(names)}" + (f" and {more} more" if more else "")


def _told(counts: dict[Mark, int], one: str, many: str) -> str:
    """`1 connection is new, 2 got worse, 1 vanished`."""
    parts = [
        (counts[mark], single if counts[mark] == 1 else plural)
        for mark, (single, plural) in _VERBS.items()
        if counts[mark]
    ]
    first, verb = parts[0]
    head = f"{first} {one if first == 1 else many} {verb}"
    return ", ".join([head, *(f"{number} {verb}" for number, verb in parts[1:])])


def _first(found: Sequence[Difference], marks: Sequence[Mark], most: int, side: str) -> list[Change]:
    """What comes first among the `nodes` or `edges` of these classes."""
    rows = [row for one in found for row in one.rows(marks, most, side=side)[0]]
    return sorted(rows, key=lambda row: row.order)[:most]


def _versions(found: Iterable[Difference], zone: tzinfo) -> list[str]:
    """`other versions: payment 4.1.2 → 4.2.0 since 18:42`, the first few."""
    changed = [one for part in found for one in part.versions]
    if not changed:
        return []
    told = [
        f"{one.name} {one.before} → {one.after}" + (f" since {clock(one.since, zone)}" if one.since else "")
        for one in changed[:_LISTED]
    ]
    more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
    return [f"other versions: {', '.join(told)}{more}"]


def _reasons(found: Sequence[Difference], zone: tzinfo) -> list[str]:
    """Blind stretches of either window, then the other reasons with their counts."""
    told: list[str] = []
    told += [f"no {kind} in {letter} {stretches(gaps, zone)}" for letter, kind, gaps in _blind(found)]
    counts: dict[str, int] = {}
    for one in found:
        for why, number in one.whys().items():
            counts[why] = counts.get(why, 0) + number
    if counts.get(Why.TOO_FEW):
        told.append(f"too few requests on {counts[Why.TOO_FEW]}")
    if counts.get(Why.OTHER_WITNESS):
        told.append(f"measured otherwise in B: {counts[Why.OTHER_WITNESS]}")
    told += [f"no {', '.join(kinds)} in {letter}" for letter, kinds in _silent(found)]
    silent = ((Why.BLIND, "either window"), (Why.BLIND_A, "A"), (Why.BLIND_B, "B"))
    if not told:
        told += [f"nobody looked in {where}" for why, where in silent if counts.get(why)]
    return list(dict.fromkeys(told))


def _blind(found: Iterable[Difference]) -> list[tuple[str, str, tuple[Window, ...]]]:
    """(window, kinds of evidence, when they were not alive) of all clusters."""
    told: dict[tuple[str, tuple[Window, ...]], list[str]] = {}
    for one in found:
        for letter, side in zip("AB", one.told, strict=True):
            for kind, gaps in side.blind.items():
                kinds = told.setdefault((letter, gaps), [])
                kinds += [] if kind in kinds else [kind]
    return [(letter, ", ".join(kinds), gaps) for (letter, gaps), kinds in told.items()]


def _silent(found: Iterable[Difference]) -> list[tuple[str, list[str]]]:
    """(window, kinds of evidence that were alive in the other window alone)."""
    told = []
    for one in found:
        a, b = (set(side.alive) for side in one.told)
        told += [(letter, sorted(kinds)) for letter, kinds in (("A", b - a), ("B", a - b)) if kinds]
    return told


def notices(found: Sequence[Difference], zone: tzinfo = UTC) -> list[str]:
    """Windows that are kept in part only."""
    told = []
    for one in found:
        for letter, side in zip("AB", one.told, strict=True):
            share = side.covered / max(side.window.seconds, 1.0)
            if share < _ENOUGH:
                told.append(
                    f"{one.cluster}: {letter} is known for {minutes(side.covered)} of {minutes(side.window.seconds)}."
                )
    if not _counts(found, edges=True)[Mark.INCOMPARABLE]:  # else the answer says so
        told += [f"No {kind} in {letter} {stretches(gaps, zone)}." for letter, kind, gaps in _blind(found)]
    if found and _overlap(*(side.window for side in found[0].told)):
        told.append("The windows overlap: what they share cannot differ.")
    return told


def _overlap(a: Window, b: Window) -> bool:
    return max(a.start, b.start) < min(a.end, b.end) and a != b


def changed(change: Change) -> list[str]:
    """What differs in a row: `errors 0.2 % → 12 %`, `p95 180 ms → 2.1 s`, `40 rps → 85 rps`."""
    a, b = change.a, change.b
    told = []
    if change.errors and a.error_ratio is not None and b.error_ratio is not None:
        told.append(f"errors {percent(a.error_ratio)} → {percent(b.error_ratio)}")
    if change.latency and a.p95 is not None and b.p95 is not None:
        told.append(f"p95 {durations(a.p95)[0]} → {durations(b.p95)[0]}")
    if change.volume and a.rps and b.rps is not None:
        told.append(f"{rate(a.rps)} → {rate(b.rps)} (×{b.rps / a.rps:.2g})")
    return told


def said(change: Change, zone: tzinfo = UTC) -> str:
    """The row in one sentence without its names."""
    if change.mark is Mark.NEW:
        since = f" since {clock(change.since, zone)}" if change.since else ""
        return f"none → {rate(change.b.rps or 0.0)}{since}"
    if change.mark is Mark.GONE:
        return f"{rate(change.a.rps or 0.0)} → none"
    if change.mark is Mark.INCOMPARABLE:
        return reason(change)
    return ", ".join(changed(change)) or "as before"


def reason(change: Change) -> str:
    """Why a row cannot be compared."""
    names = {"A": _names(change, "a"), "B": _names(change, "b")}
    if change.why == Why.TOO_FEW:
        return f"too few requests to tell ({count(change.a.requests or 0)} / {count(change.b.requests or 0)})"
    if change.why == Why.OTHER_WITNESS:
        return f"measured by {names['A']} in A, by {names['B']} in B"
    if change.why == Why.BLIND:
        return "nobody looked in either window"
    letter, other = ("A", "B") if change.why == Why.BLIND_A else ("B", "A")
    who = names[other]
    return f"no {who} in {letter}" if who else f"nobody looked in {letter}"


def _names(change: Change, side: str) -> str:
    evidence = change.a.evidence if side == "a" else change.b.evidence
    return evidence[0].value if evidence else ""


def stretches(gaps: Sequence[Window], zone: tzinfo) -> str:
    """`10:24–10:31`, the first few."""
    told = [f"{clock(gap.start, zone)}–{clock(gap.end, zone)}" for gap in gaps[:_LISTED]]
    return ", ".join(told) + (" and more" if len(gaps) > _LISTED else "")


def clock(moment: datetime, zone: tzinfo) -> str:
    """HH:MM: frames are minutes."""
    return moment.astimezone(zone).strftime("%H:%M")


def minutes(seconds: float) -> str:
    """`3 min`, `2 h`, `1 d`: a length on full minutes."""
    length = timedelta(seconds=seconds)
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h")):
        if length >= unit and length % unit == timedelta():
            return f"{length // unit} {name}"
    return f"{round(seconds / 60)} min"


def covers(told: Told) -> float:
    """Share of the window that frames cover."""
    return min(1.0, told.covered / max(told.window.seconds, 1.0))
