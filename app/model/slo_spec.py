"""A service level objective as somebody wrote it down, whatever the format of the file.

Queries are PromQL. One that holds WINDOW is asked with a range in its place; one that does not is a plain
selector of counters, whose increases are taken per series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from app.model.slo import Calendar, Objective, Rolling

WINDOW = "{{.window}}"


class SpecFormat(StrEnum):
    """The formats that are read; which one a document is, its content tells."""

    NATIVE = "quarterdeck"
    SLOTH = "sloth"
    PYRRA = "pyrra"
    OPENSLO = "openslo"


class Method(StrEnum):
    """What is counted (OpenSLO): events, slices of time that were good enough, or the mean of the slices."""

    OCCURRENCES = "occurrences"
    TIMESLICES = "timeslices"
    RATIO_TIMESLICES = "ratio-timeslices"


@dataclass(frozen=True, slots=True)
class Events:
    """All events, and either the bad or the good ones."""

    total: str
    bad: str | None = None
    good: str | None = None


@dataclass(frozen=True, slots=True)
class RawRatio:
    """An expression that is a ratio of 0 to 1 itself."""

    ratio: str
    of: Literal["bad", "good"] = "bad"


@dataclass(frozen=True, slots=True)
class Latency:
    """Good = answered within `seconds`. `within`: counter of those (a bucket); `total`: of all."""

    within: str
    total: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NativeLatency:
    """The same from a native histogram."""

    histogram: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """A gauge that is 1 while all is well and 0 while not; its samples are the events."""

    gauge: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Good while the metric compares so with the value."""

    metric: str
    op: Literal["lt", "lte", "gt", "gte"]
    value: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A service or a connection as our own topology sees it: good = not failed, or answered within `seconds`."""

    element: str
    seconds: float | None = None


Indicator = Events | RawRatio | Latency | NativeLatency | Probe | Threshold | Seen


@dataclass(frozen=True, slots=True)
class Condition:
    """One own burn-rate condition in place of the standard pairs (OpenSLO AlertCondition)."""

    factor: float
    window: timedelta
    severity: str
    after: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Alerting:
    """Which tiers alert and with what labels. `style`: whose windows the author had in mind."""

    name: str = ""
    page: bool = True
    ticket: bool = True
    on_absence: bool = False
    style: SpecFormat = SpecFormat.NATIVE
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    page_labels: dict[str, str] = field(default_factory=dict)
    page_annotations: dict[str, str] = field(default_factory=dict)
    ticket_labels: dict[str, str] = field(default_factory=dict)
    ticket_annotations: dict[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    receivers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where it was written: format, file, line."""

    format: SpecFormat
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Slo:
    """One promise. `id` is `service/name`; grouped objectives have one budget per value of `group_by`.

    `slice_length` and `slice_target` (share of good events that makes a slice good) go with the time slices.
    """

    name: str
    service: str
    objective: Objective
    period: Rolling | Calendar
    indicator: Indicator
    origin: Origin
    description: str = ""
    method: Method = Method.OCCURRENCES
    slice_length: timedelta | None = None
    slice_target: Decimal | None = None
    group_by: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    alerting: Alerting = Alerting()

    @property
    def id(self) -> str:
        """`service/name`."""
        return f"{self.service}/{self.name}"
