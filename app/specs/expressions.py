"""PromQL for the bad and all events of an indicator over a window, as rules of a Prometheus need it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.errors import QuarterdeckError
from app.model.slo_spec import (
    WINDOW,
    Events,
    Indicator,
    Latency,
    NativeLatency,
    Probe,
    RawRatio,
    Seen,
    Slo,
    Threshold,
)

_STEP = "1m"  # samples of a gauge that count as events
_LE = re.compile(r'\ble\s*=\s*"([^"]*)"')
_NOT = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}


class Unsayable(QuarterdeckError):
    """A format has no words for this objective; says which and why."""


def ratio(slo: Slo, window: str) -> str:
    """The share of bad events over a window: a missing series of bad events means none."""
    indicator = slo.indicator
    if isinstance(indicator, RawRatio):
        text = f"({indicator.ratio.replace(WINDOW, window)})"
        return text if indicator.of == "bad" else f"1 - {text}"
    return f"({bad(slo, window)})\n/\n({total(slo, window)})"


def bad(slo: Slo, window: str) -> str:
    """The rate of bad events; 0 where there are events but none was bad yet. Raises Unsayable."""
    indicator, by = slo.indicator, _by(slo.group_by)
    if isinstance(indicator, Events):
        if indicator.bad is not None:
            return f"{_rate(indicator.bad, window, by)} or 0 * {_rate(indicator.total, window, by)}"
        good = _rate(indicator.good or "", window, by)
        return f"{_rate(indicator.total, window, by)} - ({good} or 0 * {_rate(indicator.total, window, by)})"
    if isinstance(indicator, Latency):
        within = _rate(either_spelling(indicator.within), window, by)
        return f"{_rate(indicator.total, window, by)} - {within}"
    if isinstance(indicator, NativeLatency):
        rate = f"sum{by} (rate({indicator.histogram}[{window}]))"
        return f"histogram_count({rate}) * (1 - histogram_fraction(0, {indicator.seconds:g}, {rate}))"
    if isinstance(indicator, Probe):
        counted = f"sum{by} (count_over_time({indicator.gauge}[{window}]))"
        return f"{counted} - sum{by} (sum_over_time({indicator.gauge}[{window}]))"
    if isinstance(indicator, Threshold):
        beyond = f"{indicator.metric} {_NOT[indicator.op]} bool {indicator.value:g}"
        return f"sum{by} (sum_over_time(({beyond})[{window}:{_STEP}]))"
    raise Unsayable(f"{slo.id}: {_why(indicator)}")


def total(slo: Slo, window: str) -> str:
    """The rate of all events. Raises Unsayable."""
    indicator, by = slo.indicator, _by(slo.group_by)
    if isinstance(indicator, Events | Latency):
        return _rate(indicator.total, window, by)
    if isinstance(indicator, NativeLatency):
        return f"histogram_count(sum{by} (rate({indicator.histogram}[{window}])))"
    if isinstance(indicator, Probe):
        return f"sum{by} (count_over_time({indicator.gauge}[{window}]))"
    if isinstance(indicator, Threshold):
        return f"sum{by} (count_over_time({indicator.metric}[{window}:{_STEP}]))"
    raise Unsayable(f"{slo.id}: {_why(indicator)}")


def _why(indicator: Indicator) -> str:
    if isinstance(indicator, Seen):
        return "what Quarterdeck's own topology sees is in no Prometheus: it cannot become a rule"
    return "a ratio has no number of events"


def _rate(query: str, window: str, by: str) -> str:
    if WINDOW in query:
        return f"({query.replace(WINDOW, window)})"
    return f"sum{by} (rate({query}[{window}]))"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def either_spelling(selector: str) -> str:
    """The selector with `le="1"` and `le="1.0"` both meant: servers older and newer than Prometheus 3."""

    def both(found: re.Match[str]) -> str:
        try:
            value = float(found[1])
        except ValueError:
            return found[0]
        if value != int(value):
            return found[0]
        return f'le=~"{int(value)}|{int(value)}[.]0"'

    return _LE.sub(both, selector)
