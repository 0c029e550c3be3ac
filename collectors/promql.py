"""The questions of one look: one query per kind of evidence, two for Istio, whatever the fleet's size.

Parts of several metrics travel in one query, told apart by the label `qd`; grouping is by label, never one
query per service. Rates are per second over the window; counts are made of them by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.model.fleet import EvidenceKind
from collectors.families import Found, Part

TAG = "qd"
_TAG = re.compile(r"(\d{1,4})([a-z])\d{0,3}", re.ASCII)
SHORTEST_INTERVALS = 4
LONGEST_WINDOW = timedelta(minutes=10)
_BUCKETS = (Part.LATENCY, Part.SERVER_LATENCY)
_WHOLE = (Part.EXPIRED, Part.PAIRED)  # of everybody at once
_APART = frozenset({EvidenceKind.MESH})  # its answers are the largest: one that times out leaves the other


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
    """All queries about families of one kind of evidence: counts and buckets together, Istio's apart."""
    counts: list[str] = []
    buckets: list[str] = []
    labels: dict[str, None] = {TAG: None}
    for index, one in enumerate(found):
        labels.update(dict.fromkeys(one.labels))
        for serial, (part, metric) in enumerate(one.metrics):
            text = _expression(one, f"{index}{part.value}{serial}", part, metric, window)
            (buckets if part in _BUCKETS else counts).append(text)
    if not counts:
        return []
    columns = (*labels, "le")
    evidence = found[0].family.evidence
    batches = [counts, buckets] if evidence in _APART else [counts + buckets]
    return [Question(evidence, "\nor\n".join(batch), columns) for batch in batches if batch]


def read_tag(tag: str) -> tuple[int, Part] | None:
    """The family's index and the part of a tag; None when it is none of ours."""
    found = _TAG.fullmatch(tag)
    return (int(found[1]), Part(found[2])) if found and found[2] in set(Part) else None


def _expression(one: Found, tag: str, part: Part, metric: str, window: timedelta) -> str:
    """`sum by (…) (rate(metric[w]))` under a tag of its own: rows of an `or` must differ in their labels."""
    select = one.family.select if part not in _WHOLE else ""
    selector = f"{{{select}}}" if select else ""
    summed = f"sum{_grouping(one, part)} (rate({metric}{selector}[{_text(window)}]))"
    return f'label_replace({summed}, "{TAG}", "{tag}", "__name__", ".*")'


def _grouping(one: Found, part: Part) -> str:
    if part in _WHOLE:
        return ""
    labels = [label for label in one.labels if part not in _BUCKETS or label not in one.family.counted_by]
    return f" by ({', '.join([*labels, 'le'] if part in _BUCKETS else labels)})"


def _text(window: timedelta) -> str:
    """A duration as PromQL takes it, in whole milliseconds."""
    return f"{round(window.total_seconds() * 1000)}ms"
