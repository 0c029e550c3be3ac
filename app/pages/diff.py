"""What changed between two windows: the sentence, the ranked list, the map of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app import clock
from app.errors import BadInput, NotFound
from app.model.series import Window
from app.pages import format as form
from app.pages import timerange
from app.pages.fragments import fragment
from app.store.frame_stretch import VersionChange
from app.understand import diff_words
from app.understand.diff import Mark
from app.understand.diff_rows import Change
from app.web.access import requires
from app.web.diffs import Asked, Found
from app.web.services import services
from app.web.windows import LENGTH, MINUTE, pair, written

blueprint = Blueprint("diff", __name__)

ROWS = 200
ROLLOUTS = 6
SHOWN = (Mark.WORSE, Mark.NEW, Mark.GONE)
_BEFORE = (
    ("just before it", ""),
    ("1 h before", "1h"),
    ("same time yesterday", "1d"),
    ("a week before", "7d"),
)
_HOPS = ("0", "1", "2", "3")


@dataclass(frozen=True, slots=True)
class Choice:
    """A link to another pair of windows."""

    label: str
    href: str
    title: str = ""


@blueprint.get("/topology/diff")
@requires("read")
def page() -> ResponseReturnValue:
    """Relative windows become absolute ones first, so that the address always names the same minutes."""
    timerange.requested()
    asked = _asked()
    _shown()
    if asked.pair.relative or not request.args.get("a") or not request.args.get("b"):
        return redirect(_absolute(asked), code=302)
    found = services().diffs.found(asked)
    return render_template(
        "pages/topology_diff.html",
        asked=asked,
        a=written(asked.pair.a),
        b=written(asked.pair.b),
        spans=[_span(window) for window in (asked.pair.a, asked.pair.b)],
        counts=_counts(found),
        shown=_shown(),
        words=diff_words.WORDS,
        signs=diff_words.SIGNS,
        presets_of_a=_presets(asked),
        rollouts=_rollouts(asked),
        swap=_link(a=written(asked.pair.b), b=written(asked.pair.a), ra=None, rb=None),
        again=_again(),
        growing_end=asked.pair.b.end.isoformat().replace("+00:00", "Z"),
        map_source="/api/v1/topology/diff/map?" + urlencode(_api(asked)),
        row=_chosen_row(found),
        clusters=services().reader.clusters(),
        hops=_HOPS,
    )


@fragment(blueprint, "diff-answer", topics=())
def diff_answer() -> dict[str, Any]:
    """Counts, and what could not be compared."""
    found = services().diffs.found(_asked())
    zone = timerange.requested().zone
    absent = [f"Nothing is kept of one of the windows for {form.cut(name, 60)}." for name in found.missing]
    return {
        "answer": diff_words.answer(found.parts, zone),
        "notices": [*absent, *diff_words.notices(found.parts, zone)],
    }


@fragment(blueprint, "diff-list", topics=())
def diff_list() -> dict[str, Any]:
    """Rows of the chosen classes, the greatest impact first."""
    asked = _asked()
    found = services().diffs.found(asked)
    shown = _shown()
    rows, total = found.rows(shown, ROWS)
    counts = _counts(found)
    return {
        "rows": [_told(row) for row in rows],
        "total": total,
        "hidden": [
            (counts[mark], diff_words.WORDS[mark]) for mark in Mark if mark not in shown and counts[mark]
        ],
        "windows": {"a": written(asked.pair.a), "b": written(asked.pair.b)},
    }


@fragment(blueprint, "diff-panel", topics=())
def diff_panel() -> dict[str, Any]:
    """One node or connection, by `id`, in both windows."""
    row = services().diffs.found(_asked()).row(request.args.get("id", ""))
    if row is None:
        raise NotFound("This node or connection is in neither window.")
    return _told(row)


def _told(row: Change) -> dict[str, Any]:
    """A row with the words and links that templates show."""
    zone = timerange.requested().zone
    query = {"a": request.args.get("a", ""), "b": request.args.get("b", ""), "id": row.id}
    if row.cluster and request.args.get("cluster"):
        query["cluster"] = row.cluster
    return {
        "row": row,
        "sign": diff_words.SIGNS[row.mark],
        "word": diff_words.WORDS[row.mark],
        "said": diff_words.said(row, zone),
        "panel": "/fragments/diff-panel?" + urlencode(query),
        "open": _link(row=row.id) + "#diff-row",
    }


def _asked() -> Asked:
    """What the query asks for. Raises BadInput naming the field."""
    args = request.args
    windows = pair(args.get("a", ""), args.get("b", ""), None, clock.now())
    hops = args.get("hops") or "1"
    if hops not in _HOPS:
        raise BadInput(f"hops is one of {', '.join(_HOPS)}", field="hops")
    return Asked(windows, args.get("cluster") or None, args.get("focus", "")[:1000] or None, int(hops))


def _shown() -> tuple[Mark, ...]:
    """Classes that the list shows. Raises BadInput for a class that is none."""
    names = request.args.getlist("show")
    if unknown := [name for name in names if name not in list(Mark)]:
        raise BadInput(f"show: {unknown[0][:40]} is none of {', '.join(Mark)}", field="show")
    return tuple(mark for mark in Mark if mark in names) or SHOWN


def _counts(found: Found) -> dict[Mark, int]:
    """Nodes and connections per class, of the whole fleet."""
    both = [counted for part in found.parts for counted in (part.node_counts, part.edge_counts)]
    return {mark: sum(one[mark] for one in both) for mark in Mark}


def _link(**changes: str | None) -> str:
    """The page with some parameters changed; None takes one away. Keeps parameters that come several times."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in changes and value]
    kept += [(name, value) for name, value in changes.items() if value]
    return "/topology/diff?" + urlencode([one for one in kept if one[0] not in ("id",)])


def _absolute(asked: Asked) -> str:
    """The address in absolute times; `ra` and `rb` keep what was asked, while B can still grow."""
    windows = asked.pair
    again = {"ra": request.args.get("a", ""), "rb": request.args.get("b", "")} if windows.growing else {}
    return _link(
        a=written(windows.a), b=written(windows.b), **{"ra": None, "rb": None, **again, **_default(again)}
    )


def _default(again: dict[str, str]) -> dict[str, str]:
    """The texts of windows that were left out."""
    if not again:
        return {}
    span = f"now-{round(LENGTH / MINUTE)}m/now"
    return {"rb": again["rb"] or span, "ra": again["ra"]}


def _again() -> str:
    """The question in its relative words, for a B that has grown; "" when it cannot."""
    relative = request.args.get("rb", "")
    if "now" not in relative:
        return ""
    return _link(a=request.args.get("ra") or None, b=relative, ra=None, rb=None)


def _api(asked: Asked) -> dict[str, str]:
    query = {"a": written(asked.pair.a), "b": written(asked.pair.b), "cluster": asked.cluster or ""}
    if asked.focus:
        query |= {"focus": asked.focus, "hops": str(asked.hops)}
    return {name: value for name, value in query.items() if value}


def _span(window: Window) -> str:
    """`24 Nov 10:20 – 10:35`."""
    zone = timerange.requested().zone
    start, end = window.start.astimezone(zone), window.end.astimezone(zone)
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M}"
    return f"{start.day} {start:%b %H:%M} – {last}"


def _presets(asked: Asked) -> list[Choice]:
    """Other windows for A, each relative to B."""
    second = asked.pair.b
    length = f"{round(second.length / MINUTE)}m"
    return [
        Choice(
            label,
            _link(a=f"b-{step or length}", b=request.args.get("rb") or written(second), ra=None, rb=None),
        )
        for label, step in _BEFORE
    ]


def _rollouts(asked: Asked) -> list[Choice]:
    """Before and after the last changes of versions that were seen."""
    changes = services().diffs.version_changes(asked.cluster)
    return [_around(one) for one in _newest(changes)]


def _newest(changes: Iterable[VersionChange]) -> list[VersionChange]:
    """The last change of each node and versions."""
    found: dict[tuple[str, str], VersionChange] = {}
    for one in changes:
        found.setdefault((one.node, one.after), one)
    return list(found.values())[:ROLLOUTS]


def _around(change: VersionChange) -> Choice:
    """A ends before the minute in which the other version was first seen: it must be free of it."""
    zone = timerange.requested().zone
    name, first = change.node.split(":", 2)[-1], change.at
    end = min(first + LENGTH, max(clock.now().replace(second=0, microsecond=0), first + MINUTE))
    before, after = Window(first - LENGTH, first), Window(first, end)
    label = f"{form.cut(name, 30)} {form.cut(change.after, 30)} at {diff_words.clock(first, zone)}"
    told = f"from {form.cut(change.before, 60)} to {form.cut(change.after, 60)}"
    return Choice(label, _link(a=written(before), b=written(after), ra=None, rb=None), told)


def _chosen_row(found: Found) -> dict[str, Any] | None:
    """The row that a page without scripts shows beside the list."""
    row = found.row(request.args.get("row", "")) if request.args.get("row") else None
    return _told(row) if row is not None else None
