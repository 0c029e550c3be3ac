"""A window of the past as it was kept: the sum of its frames, and the pieces that sum is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.model.fleet import Frame, Heard
from app.model.series import Floats, Window


@dataclass(frozen=True, slots=True)
class Piece:
    """One frame of a window: its start, length (seconds), and the kinds of evidence that were alive in it."""

    start: datetime
    seconds: float
    witnesses: Mapping[str, Heard]


@dataclass(frozen=True, slots=True)
class Pace:
    """One id, piece by piece, oldest first: requests, failed (NaN = nobody looked), latency (pieces, BUCKETS)."""

    requests: Floats
    failed: Floats
    latency: Floats


class Stretch(Protocol):
    """What a store answers about a window. `frame.length` is the time it covers, gaps not counted."""

    frame: Frame
    window: Window

    @property
    def pieces(self) -> Sequence[Piece]:
        """What the sum is made of, oldest first."""
        ...

    def known(self, side: str) -> Floats:
        """Seconds in which each row of the sum (`nodes` or `edges`) was looked at."""
        ...

    def paces(self, ids: Iterable[str], *, latency: bool = True) -> Mapping[str, Pace]:
        """Piece by piece for some node and edge ids; histograms only with `latency`."""
        ...

    def versions_since(self, node: str, other: str) -> datetime | None:
        """The start of the first piece in which the node's versions were not `other`; None = of none."""
        ...
