"""The moment or stretch of time a page shows, from its query: from=, to=, at=, tz=.

Relative times stay relative (the page is live); an absolute `to` or an `at` freezes it. A value that
cannot be read is an error that names its field, never a silent default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from flask import g, request

from app import clock
from app.errors import BadInput
from app.model.series import Window
from app.pages import preference

PRESETS = ("15m", "1h", "6h", "24h", "7d")
DEFAULT = "1h"
_RELATIVE = re.compile(r"now(?:-(\d{1,5})([smhdw]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`start` and `end` aware UTC; `at` is the frozen moment, or None. The texts are those of the query."""

    start: datetime
    end: datetime
    at: datetime | None
    start_text: str
    end_text: str
    zone_name: str

    @property
    def frozen(self) -> bool:
        """Whether the page shows the past and must not move."""
        return self.at is not None or not self.end_text.startswith("now")

    @property
    def moment(self) -> datetime | None:
        """The moment whose state is shown; None = now."""
        return self.at or (None if self.end_text == "now" else self.end)

    @property
    def window(self) -> Window:
        """The stretch that charts and sparklines cover."""
        return Window(self.start, self.end)

    @property
    def zone(self) -> tzinfo:
        """The viewer's time zone."""
        return preference.zone_of(self.zone_name)

    @property
    def words(self) -> str:
        """What the time picker's button says."""
        if self.at is not None:
            return f"At {_stamp(self.at, self.zone)}"
        match = _RELATIVE.fullmatch(self.start_text)
        if match and match[1] and self.end_text == "now":
            return f"Last {match[1]} {match[2]}"
        return f"{_stamp(self.start, self.zone)} – {_stamp(self.end, self.zone)}"


def requested() -> TimeRange:
    """The range of this request. Raises BadInput naming the field that cannot be read."""
    if "time_range" not in g:
        args = request.args
        zone = _zone(args.get("tz", ""))
        g.time_range = parse(
            args.get("from", ""), args.get("to", ""), args.get("at", ""), zone, now=clock.now()
        )
    found: TimeRange = g.time_range
    return found


def present() -> TimeRange:
    """The last hour, for pages whose query could not be read."""
    now = clock.now()
    zone = preference.current().zone
    return TimeRange(now - timedelta(hours=1), now, None, f"now-{DEFAULT}", "now", zone)


def parse(start: str, end: str, at: str, zone: str, *, now: datetime) -> TimeRange:
    """A range from its texts; empty ones mean the last hour, ending now."""
    frozen = _moment(at, "at", zone, now) if at else None
    start_text, end_text = start or f"now-{DEFAULT}", end or "now"
    first, last = _moment(start_text, "from", zone, now), _moment(end_text, "to", zone, now)
    if frozen is not None and not end:
        first, last = frozen - (last - first), frozen
    if first >= last:
        raise BadInput("The range must begin before it ends.", field="from")
    if last - first > _LONGEST:
        raise BadInput("The range is longer than 400 days, the longest that is kept.", field="from")
    return TimeRange(first, last, frozen, start_text, end_text, zone)


def _moment(text: str, field: str, zone: str, now: datetime) -> datetime:
    """The moment of a text, within the years that arithmetic on it stays possible. Raises BadInput."""
    try:
        found = _read(text, field, zone, now)
    except OverflowError:
        raise BadInput("This time is outside the calendar.", field=field) from None
    if not 1970 <= found.year <= 9000:
        raise BadInput("This time is outside the calendar.", field=field)
    return found


def _read(text: str, field: str, zone: str, now: datetime) -> datetime:
    if match := _RELATIVE.fullmatch(text):
        back = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match[1] else timedelta()
        return now - back
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("Write a time as 2026-11-23T10:41:20Z, or relative as now-1h.", field=field) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=preference.zone_of(zone))
    return found.astimezone(UTC)


def _zone(text: str) -> str:
    if not text:
        return preference.current().zone
    name = "UTC" if text.lower() == "utc" else text
    if not preference.is_zone(name):
        raise BadInput("This time zone is not known; write UTC or a name like Europe/Berlin.", field="tz")
    return name


def _stamp(moment: datetime, zone: tzinfo) -> str:
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %H:%M}"
