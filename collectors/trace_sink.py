"""Where the spans of trace backends go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collectors.span_columns import Batch


class SpanSink(Protocol):
    """Where the spans go: the joiner of the cluster."""

    def take(
        self, settled: Sequence[Batch], unsettled: Sequence[Batch], *, source: str, until: datetime | None
    ) -> None:
        """Join spans; those of `unsettled` may still find their other half in a later call.

        `until`: all traces of `source` that began before it have been handed over; None = not known yet.
        """
        ...
