"""How far the traces of backends were read, and so up to when a joiner that is fed by them can tell of calls.

Pushed spans come within seconds; pulled ones in whole steps, some tens of seconds late. Where both come, the picture
ends where the slowest backend has been read, unless everything pulled had been pushed before.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from app.errors import SourceStarting, SourceUnavailable
from collectors.span_ledger import STEP_NS

_STEP = timedelta(microseconds=STEP_NS // 1000)
_MINUTE = timedelta(minutes=1)
_NOTHING_NEW = 0.02  # of pulled spans, against pushed ones: some doubles are always taken for new ones


class Pulled:
    """What was pulled into one joiner. `look_back`: how old a trace may be when it is read."""

    def __init__(self, look_back: timedelta) -> None:
        self.steps = -(-look_back // _STEP) + 1  # to keep beyond those of the last minute
        self._silence = look_back + _MINUTE
        self._until: dict[str, datetime] = {}
        self._new: deque[tuple[datetime, int]] = deque()

    def heard(self, source: str, until: datetime | None, *, new: int, now: datetime) -> None:
        """A backend was read up to `until` (None = not known yet); `new` of its spans were not known before."""
        if until is not None:
            self._until[source] = until
        self._new.append((now, new))

    def end(self, now: datetime, *, pushed: int) -> datetime | None:
        """Where the picture ends; None = at the newest spans that were pushed (`pushed`: in the last minute).

        Raises SourceStarting or SourceUnavailable when nothing is pushed and nothing was pulled for long.
        """
        while self._new and self._new[0][0] < now - _MINUTE:
            self._new.popleft()
        pulled = sum(count for _, count in self._new)
        heard = [until for until in self._until.values() if until > now - self._silence]
        if heard and not (pushed and pulled <= _NOTHING_NEW * pushed):
            return min(heard)
        if pushed or heard:
            return None
        if not self._until:
            raise SourceStarting("no trace backend has been read yet")
        last = max(self._until.values())
        raise SourceUnavailable(f"no trace backend has been read beyond {last:%H:%M:%S} UTC")
