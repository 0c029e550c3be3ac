"""Service level objectives: what was promised over which period, and the windows that tell how fast it is spent.

Targets and factors are exact (Decimal, Fraction): `14.4 * 0.001` has no binary form, and a comparison of floats
fires at a burn rate of exactly 1 (reference: SRE Workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
_STANDARD_PERIOD = timedelta(days=30)
_FIXED_FROM, _FIXED_TO = timedelta(days=14), timedelta(days=45)


class SloState(StrEnum):
    """How an objective stands. Only `burning` pages; absence of data never resolves nor fires anything."""

    OK = "ok"
    BURNING = "burning"
    EXHAUSTED = "exhausted"
    NO_TRAFFIC = "no_traffic"
    NO_DATA = "no_data"
    NOT_ENOUGH_DATA = "not_enough_data"


class Tier(StrEnum):
    """How urgent a burn is: a page wakes somebody, a ticket waits for the day. Worst first."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two windows that must both burn faster than `factor` times the even rate.

    The long one says that it matters (it spends `share` of the budget), the short one that it still goes on.
    """

    tier: Tier
    long: timedelta
    short: timedelta
    share: Fraction
    factor: Fraction


_STANDARD = (
    (Tier.PAGE, Fraction(2, 100), timedelta(hours=1)),
    (Tier.PAGE, Fraction(5, 100), timedelta(hours=6)),
    (Tier.TICKET, Fraction(10, 100), timedelta(days=1)),
    (Tier.TICKET, Fraction(10, 100), timedelta(days=3)),
)
_SHORT_SHARE = 12  # the short window is a twelfth of the long one


def standard_pairs(period: timedelta, *, floor: timedelta = MINUTE) -> tuple[Pair, ...]:
    """The pairs of the SRE Workbook for any period.

    Around a month the windows stay and the factors move with the period, as Sloth has it (28 d: 13.44, 5.6, 2.8,
    0.933). For other periods the windows grow and shrink with it, in whole minutes and never below `floor` (pass
    the larger of a minute and four scrape intervals), and the factors follow from what they became. A pair whose
    windows no longer differ is left out. Raises ValueError for a period that is not longer than `floor`.
    """
    if period <= 2 * floor:
        raise ValueError(f"a period of {period} is too short for burn rates over windows of {floor}")
    scale = Fraction(1) if _FIXED_FROM <= period <= _FIXED_TO else _ratio(period, _STANDARD_PERIOD)
    found: dict[tuple[timedelta, timedelta], Pair] = {}
    for tier, share, standard in _STANDARD:
        long = max(_minutes(standard, scale), 2 * floor)
        short = max(_minutes(standard / _SHORT_SHARE, scale), floor)
        if short < long < period:
            found.setdefault((long, short), Pair(tier, long, short, share, share * _ratio(period, long)))
    return tuple(found.values())


def _minutes(length: timedelta, scale: Fraction) -> timedelta:
    return round(_ratio(length, MINUTE) * scale) * MINUTE


def _ratio(above: timedelta, below: timedelta) -> Fraction:
    return Fraction(above // timedelta(microseconds=1), below // timedelta(microseconds=1))


# Periods -----------------------------------------------------------------------------------------


class CalendarUnit(StrEnum):
    """Calendar periods; a month is a month of the calendar, never 30 days."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `length` of time."""

    length: timedelta

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end of the period that holds `now`, aware UTC."""
        return now - self.length, now


@dataclass(frozen=True, slots=True)
class Calendar:
    """`count` units of the calendar of a time zone, counted from the period that holds `anchor`."""

    unit: CalendarUnit
    zone: str = "UTC"
    count: int = 1
    anchor: date = date(2000, 1, 1)

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end of the period that holds `now`, aware UTC; days of a clock change have 23 or 25 hours."""
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        number = (
            _number(today, self.unit)
            - (_number(today, self.unit) - _number(self.anchor, self.unit)) % self.count
        )
        first, after = _first_day(number, self.unit), _first_day(number + self.count, self.unit)
        return _midnight(first, zone), _midnight(after, zone)


def _number(day: date, unit: CalendarUnit) -> int:
    """A running number of the unit that holds the day."""
    months = day.year * 12 + day.month - 1
    return {
        CalendarUnit.DAY: day.toordinal(),
        CalendarUnit.WEEK: (day.toordinal() - 1) // 7,  # day 1 of the calendar was a Monday
        CalendarUnit.MONTH: months,
        CalendarUnit.QUARTER: months // 3,
        CalendarUnit.YEAR: day.year,
    }[unit]


def _first_day(number: int, unit: CalendarUnit) -> date:
    if unit is CalendarUnit.DAY:
        return date.fromordinal(number)
    if unit is CalendarUnit.WEEK:
        return date.fromordinal(number * 7 + 1)
    months = number * {CalendarUnit.MONTH: 1, CalendarUnit.QUARTER: 3, CalendarUnit.YEAR: 12}[unit]
    return date(months // 12, months % 12 + 1, 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


# Counts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of one window: bad ones, all of them, and how much of the window was looked at."""

    bad: float
    total: float
    window: timedelta
    covered: timedelta

    @property
    def whole(self) -> bool:
        """Whether the window was looked at throughout."""
        return self.covered >= self.window


@dataclass(frozen=True, slots=True)
class Objective:
    """The promised share of good events, exact: `Objective.percent("99.9")`, `Objective(Decimal("0.999"))`."""

    target: Decimal

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"an objective of {self} is none: it lies above 0 and below 100, such as 99.9")

    def __str__(self) -> str:
        return f"{_percent(self.target)} %"

    @classmethod
    def percent(cls, text: str) -> Objective:
        """From a percentage as it stands in a file. Raises ValueError for no number and for 0, 100 and beyond."""
        try:
            return cls(Decimal(text) / 100)
        except ArithmeticError:
            raise ValueError(f"{text!r} is not a percentage, such as 99.9") from None

    @classmethod
    def share(cls, text: str) -> Objective:
        """From a share of 1 as it stands in a file. Raises ValueError for no number, 0, 1 and beyond."""
        try:
            return cls(Decimal(text))
        except ArithmeticError:
            raise ValueError(f"{text!r} is not a share, such as 0.999") from None

    @property
    def budget(self) -> Fraction:
        """The share of events that may be bad."""
        return 1 - Fraction(self.target)

    def burn_rate(self, counts: Counts) -> float | None:
        """How many times faster than evenly the budget went; None without events."""
        return (
            float(Fraction(counts.bad) / (self.budget * Fraction(counts.total))) if counts.total > 0 else None
        )

    def exceeds(self, counts: Counts, factor: Fraction) -> bool:
        """Whether the window burned strictly faster than `factor`; never true without events."""
        return Fraction(counts.bad) > factor * self.budget * Fraction(counts.total)

    def remaining(self, counts: Counts) -> Fraction:
        """The share of the period's budget that is left: 1 untouched, negative when overspent."""
        if counts.total <= 0:
            return Fraction(1)
        return 1 - Fraction(counts.bad) / (self.budget * Fraction(counts.total))


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}"
