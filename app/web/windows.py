"""Two windows out of a query: absolute, relative to now, or one relative to the other.

`<from>/<to>` with RFC 3339 times, `now` or `now-15m`; `a=b-1d` (or `b=a+1h`) moves the other window.
What is missing is the last `window` (15 minutes) for B and the same length just before it for A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.config import parse_duration
from app.errors import BadInput
from app.model.series import Window

LENGTH = timedelta(minutes=15)
LONGEST = timedelta(days=7)
MINUTE = timedelta(minutes=1)
_FARTHEST = timedelta(days=400)
_SHIFT = re.compile(r"([ab])\s*([-+ ])\s*([0-9a-z]{1,20})")
_NOW = re.compile(r"now(?:-([0-9a-z]{1,20}))?")
_LATER = ("before-deploy:", "deploy:", "incident:", "before:", "alert:")
_CAN = "write <from>/<to> in RFC 3339, now-15m/now, or the other window moved, as b-1d"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both windows on full minutes. `relative`: the query named a time that moves; `growing`: B ends now."""

    a: Window
    b: Window
    relative: bool
    growing: bool


def pair(a: str, b: str, length: timedelta | None, now: datetime) -> Pair:
    """Both windows. Raises BadInput naming `a` or `b`."""
    text_b = b.strip() or f"now-{round((length or LENGTH).total_seconds())}s/now"
    text_a = a.strip() or (
        "" if _SHIFT.fullmatch(text_b) else f"b-{round(_window(text_b, 'b', now).seconds)}s"
    )
    moved_a, moved_b = (_SHIFT.fullmatch(text) for text in (text_a, text_b))
    if moved_a and moved_b:
        raise BadInput("a and b are both relative to the other: give one of them in times.", field="a")
    if moved_a:
        second = _window(text_b, "b", now)
        first = _moved(second, moved_a, "a", now)
    elif moved_b:
        first = _window(text_a, "a", now)
        second = _moved(first, moved_b, "b", now)
    else:
        first, second = _window(text_a, "a", now), _window(text_b, "b", now)
    relative = bool(moved_a or moved_b or "now" in text_a or "now" in text_b)
    return Pair(first, second, relative, "now" in text_b.rpartition("/")[2])


def written(window: Window) -> str:
    """The absolute form."""
    return "/".join(
        moment.isoformat(timespec="seconds").replace("+00:00", "Z") for moment in (window.start, window.end)
    )


def _window(text: str, field: str, now: datetime) -> Window:
    if text.startswith(_LATER):
        kind = text.partition(":")[0]
        raise BadInput(f"{field}: windows around {kind} are not known yet; {_CAN}.", field=field)
    first, slash, last = text.partition("/")
    if not slash:
        raise BadInput(f"{field}: {_CAN}.", field=field)
    start, end = (_moment(part, field, now) for part in (first, last))
    return _sound(Window(_floor(start), _floor(end)), field, now)


def _moved(other: Window, match: re.Match[str], field: str, now: datetime) -> Window:
    if match[1] == field:
        raise BadInput(f"{field} cannot be relative to itself; {_CAN}.", field=field)
    step = _duration(match[3], field)
    step = -step if match[2] == "-" else step
    try:
        return _sound(Window(_floor(other.start + step), _floor(other.end + step)), field, now)
    except OverflowError:
        raise BadInput(f"{field} is outside the calendar.", field=field) from None


def _sound(window: Window, field: str, now: datetime) -> Window:
    if window.end - window.start < MINUTE:
        raise BadInput(f"{field} must be at least a minute long and begin before it ends.", field=field)
    if window.length > LONGEST:
        raise BadInput(f"{field} is longer than 7 days.", field=field)
    if window.start >= now:
        raise BadInput(f"{field} has not begun yet.", field=field)
    return window


def _moment(text: str, field: str, now: datetime) -> datetime:
    if match := _NOW.fullmatch(text):
        return now - (_duration(match[1], field) if match[1] else timedelta())
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{field}: {text[:40]!r} is no time; {_CAN}.", field=field) from None
    if not 1970 <= found.year <= 9000:
        raise BadInput(f"{field} is outside the calendar.", field=field)
    return found


def _duration(text: str, field: str) -> timedelta:
    try:
        found = parse_duration(text)
    except (ValueError, OverflowError):
        raise BadInput(f"{field}: {text!r} is no duration such as 15m or 1d.", field=field) from None
    if found > _FARTHEST:
        raise BadInput(f"{field}: {text!r} is longer than anything is kept.", field=field)
    return found


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
