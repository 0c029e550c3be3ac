"""The questions of one look: per kind of evidence one query for counts and one for buckets, whatever the fleet's size.

Parts of several metrics travel in one query, told apart by the label `qd`; grouping is by label, never one
query per service. Rates are per second over the window; counts are made of them by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.model.fleet import EvidenceKind
from collectors.families import Found, Part

TAG = "qd"
SHORTEST_INTERVALS = 4
LONGEST_WINDOW = timedelta(minutes=10)
_BUCKETS = (Part.LATENCY, Part.SERVER_LATENCY)
_TOGETHER = frozenset({EvidenceKind.SPAN_METRICS, EvidenceKind.CLIENT_METRICS})


@dataclass(frozen=True, slots=True)
class Question:
    """One query about one kind of evidence; `labels` are the columns its answer is read with."""

    evidence: EvidenceKind
    text: str
    labels: tuple[str, ...]


def rate_window(found: Sequence[Found], configured: timedelta) -> timedelta:
    """The configured window, or four scrape intervals of the slowest family where that is longer."""
    seen = [one.interval * SHORTEST_INTERVALS for one in found if one.interval]
    return min(max([configured, *seen]), LONGEST_WINDOW)


def questions(found: Sequence[Found], window: timedelta) -> list[Question]:
    """All queries about families of one kind of evidence: counts and buckets, together where both are small."""
    counts: list[str] = []
    buckets: list[str] = []
    labels: dict[str, None] = {TAG: None}
    for index, one in enumerate(found):
        labels.update(dict.fromkeys(one.labels))
        for part, metric in one.metrics:
            text = _expression(one, index, part, metric, window)
            (buckets if part in _BUCKETS else counts).append(text)
    if not counts:
        return []
    columns = (*labels, "le")
    evidence = found[0].family.evidence
    batches = [counts + buckets] if evidence in _TOGETHER else [counts, buckets]
    return [Question(evidence, "\nor\n".join(batch), columns) for batch in batches if batch]


def _expression(one: Found, index: int, part: Part, metric: str, window: timedelta) -> str:
    """`sum by (…) (rate(metric[w]))`, tagged with its family's index and part."""
    selector = f"{{{one.family.select}}}" if one.family.select else ""
    grouping = ", ".join([*one.labels, "le"] if part in _BUCKETS else one.labels)
    summed = f"sum by ({grouping}) (rate({metric}{selector}[{_text(window)}]))"
    return f'label_replace({summed}, "{TAG}", "{index}{part.value}", "__name__", ".*")'


def _text(window: timedelta) -> str:
    """A duration as PromQL takes it, in whole milliseconds."""
    return f"{round(window.total_seconds() * 1000)}ms"
