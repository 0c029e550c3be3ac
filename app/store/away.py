"""What is told of a store that does not answer: one line when it begins, one when it is over."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from app import clock
from app.errors import StoreError


class Away:
    """Whether the store is away, for loops that go on without it. Thread-safe. `cost`: what that means here."""

    def __init__(self, log: logging.Logger, cost: str) -> None:
        self._log, self._cost = log, cost
        self._since: datetime | None = None
        self._guard = threading.Lock()

    def begin(self, error: StoreError) -> None:
        """The store could not be used."""
        with self._guard:
            told, self._since = self._since is not None, self._since or clock.now()
        if told:
            self._log.debug("the store is still away: %s", error)
        else:
            self._log.warning("the store is away, %s: %s", self._cost, error)

    def over(self) -> None:
        """The store was used."""
        with self._guard:
            since, self._since = self._since, None
        if since is not None:
            seconds = round((clock.now() - since).total_seconds())
            self._log.info("the store answers again after %d s", seconds)
