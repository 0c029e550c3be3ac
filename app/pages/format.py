"""How values look to a person: durations, rates, ratios, latencies, times, health words.

The one module for it on the server; static/js/lib/age.js mirrors only `duration`. Unknown (None, NaN)
is always "no data", and no traffic is a state of its own, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.model.fleet import Edge, HealthStatus, Latency, Node

NO_DATA = "no data"
NO_TRAFFIC = "no traffic"

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Mark:
    """How a health status is drawn: sprite symbol and colour token, and the word beside it."""

    token: str
    word: str
    counted: str = ""

    @property
    def many(self) -> str:
        """The word after a number: `2 in maintenance`."""
        return self.counted or self.word


# The one table of health on screen; its order is that of HealthStatus (worst first).
MARKS: dict[HealthStatus, Mark] = {
    HealthStatus.FAILING: Mark("crit", "failing"),
    HealthStatus.DEGRADED: Mark("warn", "degraded"),
    HealthStatus.UNKNOWN: Mark("unknown", "unknown"),
    HealthStatus.MAINTENANCE: Mark("maint", "maintenance", "in maintenance"),
    HealthStatus.IDLE: Mark("idle", "idle"),
    HealthStatus.HEALTHY: Mark("ok", "healthy"),
}


def mark(status: HealthStatus | str) -> Mark:
    """The mark of a health status; what is no status is unknown."""
    try:
        return MARKS[HealthStatus(status)]
    except ValueError:
        return MARKS[HealthStatus.UNKNOWN]


def known(value: float | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def duration(seconds: float | None) -> str:
    """Two units at most: `4 s`, `2 m 10 s`, `1 d 2 h`; a unit of zero is left out."""
    if seconds is None or not math.isfinite(seconds):
        return NO_DATA
    whole = max(0, round(seconds))
    for place, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            small = _UNITS[place + 1] if place + 1 < len(_UNITS) else None
            tail = f" {rest // small[0]} {small[1]}" if small and rest // small[0] else ""
            return f"{count} {unit}{tail}"
    return "0 s"


_FEW_SAMPLES = 30  # raw spans below which a rate is a guess (reference: topology 4.4)


def rate(rps: float | None) -> str:
    """Requests per second with two significant digits below 1, whole above: `0.31 rps`, `12.4 k rps`."""
    if rps is None or not math.isfinite(rps):
        return NO_DATA
    if rps == 0:
        return NO_TRAFFIC
    return f"{_short(rps)} rps"


def about(element: Node | Edge) -> str:
    """`≈ ` in front of the rate of a node or connection that rests on a few sampled requests, else nothing."""
    word = next((one for one in element.evidence if one.rps is not None), None)
    if word is None or word.sampling_ratio is None or word.sampling_ratio >= 1 or element.requests is None:
        return ""
    return "≈ " if element.requests * word.sampling_ratio < _FEW_SAMPLES else ""


def ratio(value: float | None, *, requests: float | None = None) -> str:
    """A share in percent: `0.03 %`, `12 %`, `0 %`. With `requests` of 0 there was no traffic."""
    if requests == 0:
        return NO_TRAFFIC
    if value is None or not math.isfinite(value):
        return NO_DATA
    percent = value * 100
    if percent == 0:
        return "0 %"
    if abs(percent) < 0.005:
        return "< 0.01 %"
    digits = 0 if abs(percent) >= 9.95 else 1 if abs(percent) >= 0.995 else 2
    return f"{_trim(f'{percent:.{digits}f}')} %"


def latency(seconds: float | None) -> str:
    """Milliseconds below one second, else seconds with two digits: `182 ms`, `2.1 s`, `75 s`."""
    if seconds is None or not math.isfinite(seconds):
        return NO_DATA
    millis = seconds * 1000
    if millis < 0.095:
        return f"{_trim(f'{millis * 1000:.0f}')} µs"
    if millis < 9.95:
        return f"{_trim(f'{millis:.1f}')} ms"
    if millis < 999.5:
        return f"{millis:.0f} ms"
    return f"{_trim(f'{seconds:.1f}')} s" if seconds < 9.95 else f"{seconds:.0f} s"


def quantile(told: Latency, name: str) -> str:
    """A quantile by its name (p50, p95, p99); `< 100 ms` where only the bound of the lowest bucket is known."""
    value: float | None = getattr(told, name)
    return f"< {latency(told.below)}" if value is None and told.below is not None else latency(value)


def budget(left: float | None) -> str:
    """Error budget left: `8 %`, `-98 % (overspent)`."""
    text = ratio(left)
    return f"{text} (overspent)" if left is not None and left < 0 else text


def burn(factor: float | None) -> str:
    """A burn rate as a multiple: `14.4x`, `120x`."""
    if factor is None or not math.isfinite(factor):
        return NO_DATA
    return f"{_trim(f'{factor:.1f}')}x" if factor < 99.95 else f"{factor:.0f}x"


def count(value: float | None) -> str:
    """A plain number, long ones shortened: `41`, `12.4 k`."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    return _short(value) if value else "0"


def clock_time(moment: datetime | None, zone: tzinfo) -> str:
    """HH:MM:SS in the viewer's zone; the page names the zone once."""
    return NO_DATA if moment is None else moment.astimezone(zone).strftime("%H:%M:%S")


def date_time(moment: datetime | None, zone: tzinfo) -> str:
    """`23 Nov 2026, 10:41:20` in the viewer's zone: the month is a word."""
    if moment is None:
        return NO_DATA
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M:%S}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 service`, `2 services`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def cut(text: str | None, length: int = 80) -> str:
    """Foreign text without control characters, cut to `length` characters with an ellipsis."""
    if not text:
        return ""
    clean = "".join(char if char.isprintable() else " " for char in text[: length * 4])
    clean = " ".join(clean.split())
    return clean if len(clean) <= length else clean[: length - 1].rstrip() + "…"


def _short(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size * 0.9995:
            scaled = value / (1e3 if unit == " k" else size)
            digits = 1 if abs(scaled) < 99.95 else 0
            return f"{_trim(f'{scaled:.{digits}f}')}{unit}"
    if abs(value) >= 9.95:
        return f"{value:.0f}"
    if abs(value) >= 0.995:
        return _trim(f"{value:.1f}")
    if abs(value) >= 0.00995:
        return _trim(f"{value:.2f}")
    return f"{value:.1g}" if abs(value) >= 1e-4 else "< 0.0001"


def _trim(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
