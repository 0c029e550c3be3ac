"""The seam of every source: one method that looks, three errors that say why it could not.

The loop around it (interval, deadline, backoff, log once down and once up, freshness) is `app.collect`'s;
a kind holds only knowledge of the foreign system.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from app.model.fleet import Snapshot
from app.model.series import Window


class Collector(Protocol):
    """One source of one cluster."""

    kind: ClassVar[str]
    cost: ClassVar[str]  # what is missing without this source, a sentence for the sources page
    cluster: str
    name: str  # unique within the cluster: "prometheus", "kubernetes", "traces"

    def pull(self, window: Window) -> Snapshot:
        """Look at `window` (for a source with its own memory: at what it knows at the window's end).

        Raises SourceUnavailable, SourceRefused or SourceNonsense, nothing else.
        """
        ...

    def start(self) -> None:
        """Begin whatever runs between pulls (watches); a plain poller does nothing."""
        ...

    def close(self) -> None:
        """End it and free connections; may be called twice."""
        ...
