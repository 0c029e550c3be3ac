"""Where the spans of trace backends go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collectors.span_columns import Batch
    from collectors.span_cut import Cut


@dataclass(frozen=True, slots=True)
class Whole:
    """Traces as a backend gave them, with everything: `batch` are their spans, `cut` reads some of them in full."""

    batch: Batch
    content: bytes
    cut: Cut


class SpanSink(Protocol):
    """Where the spans go: the joiner of the cluster."""

    def take(
        self,
        settled: Sequence[Batch],
        unsettled: Sequence[Batch],
        *,
        source: str,
        until: datetime | None,
        whole: Sequence[Whole] = (),
    ) -> None:
        """Join spans; those of `unsettled` may still find their other half in a later call.

        `until`: all traces of `source` that began before it have been handed over; None = not known yet.
        `whole`: the same traces with all they carry, of which some may be kept as examples.
        """
        ...
