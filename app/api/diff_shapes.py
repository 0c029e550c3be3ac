"""The shapes of the difference of two windows, for OpenAPI and the tests that hold answers to them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from app.api.shapes import Read

Class = Literal["worse", "new", "gone", "better", "volume", "incomparable", "same"]
Direction = Literal[-1, 0, 1]

WindowRow = TypedDict("WindowRow", {"from": datetime, "to": datetime, "text": str})
BlindRow = TypedDict("BlindRow", {"evidence": str, "from": datetime, "to": datetime})


class CoverRow(TypedDict):
    """What one window of one cluster rests on; `blind`: when a kind of evidence was not alive."""

    cluster: str
    window: Literal["a", "b"]
    covered_seconds: float
    evidence: list[str]
    blind: list[BlindRow]


class DiffValue(TypedDict):
    """One element in one window."""

    rps: float | None
    error_ratio: float | None
    p95_seconds: float | None
    requests: float | None
    evidence: list[str]


class VersionPair(TypedDict):
    """Versions at the end of A and of B."""

    before: str
    after: str


class VersionRow(TypedDict):
    """A node that runs other versions in B."""

    id: str
    name: str
    before: str
    after: str
    since: datetime | None


DiffRow = TypedDict(
    "DiffRow",
    {
        "what": Literal["edge", "node"],
        "id": str,
        "cluster": str,
        "name": str,
        "kind": str,
        "source": str | None,
        "target": str | None,
        "class": Class,
        "said": str,
        "why": str | None,
        "impact": float,
        "begins": bool,
        "errors": Direction,
        "latency": Direction,
        "volume": Direction,
        "a": DiffValue,
        "b": DiffValue,
        "since": datetime | None,
        "versions": VersionPair | None,
    },
)


class DiffCounts(TypedDict):
    """Elements per class."""

    nodes: dict[Class, int]
    edges: dict[Class, int]


class DiffAnswer(Read):
    """Rows by impact, the classes that need attention first. With view=map the map document instead."""

    answer: str
    notices: list[str]
    a: WindowRow
    b: WindowRow
    windows: list[CoverRow]
    counts: DiffCounts
    versions: list[VersionRow]
    items: list[DiffRow]
    total: int
