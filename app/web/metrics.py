"""What this process counts about itself, in the Prometheus text format.

Labels are endpoints and status classes, never paths or names from outside, so their number is fixed.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import Lock

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
Sample = tuple[dict[str, str], float]
Gauge = Callable[[], Iterable[Sample]]


class Metrics:
    """Counters of requests and gauges read at scrape time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: dict[tuple[str, str, str], int] = defaultdict(int)
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0
        self._events: dict[str, int] = defaultdict(int)
        self._gauges: dict[str, tuple[str, str, Gauge]] = {}

    def observe(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        slot = sum(seconds > bound for bound in _BOUNDS)
        with self._lock:
            self._requests[(endpoint, method, f"{status // 100}xx")] += 1
            self._buckets[slot] += 1
            self._seconds += seconds

    def count(self, event: str) -> None:
        """Count one happening: `login_failed`, `socket_refused`, …"""
        with self._lock:
            self._events[event] += 1

    def gauge(self, name: str, sentence: str, read: Gauge) -> None:
        """Register a gauge; `read` gives its samples at each scrape."""
        self._gauges[name] = ("gauge", sentence, read)

    def counter(self, name: str, sentence: str, read: Gauge) -> None:
        """The same for numbers that somebody else counts and that only grow."""
        self._gauges[name] = ("counter", sentence, read)

    def render(self) -> str:
        """Everything as text."""
        lines = [*self._request_lines(), *self._event_lines(), *_process_lines()]
        for name, (kind, sentence, read) in self._gauges.items():
            lines += _family(name, kind, sentence, read())
        return "\n".join(lines) + "\n"

    def _request_lines(self) -> list[str]:
        with self._lock:
            requests, buckets, seconds = dict(self._requests), list(self._buckets), self._seconds
        rows = [
            ({"endpoint": endpoint, "method": method, "status": status}, float(count))
            for (endpoint, method, status), count in sorted(requests.items())
        ]
        lines = _family("quarterdeck_http_requests_total", "counter", "Answered requests.", rows)
        return lines + _histogram("quarterdeck_http_request_seconds", buckets, seconds)

    def _event_lines(self) -> list[str]:
        with self._lock:
            rows = [({"event": name}, float(count)) for name, count in sorted(self._events.items())]
        return _family("quarterdeck_events_total", "counter", "Happenings by name.", rows)


def _family(name: str, kind: str, sentence: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {name} {sentence}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram(name: str, buckets: list[int], seconds: float) -> list[str]:
    lines = [f"# HELP {name} Time to answer.", f"# TYPE {name} histogram"]
    total = 0
    for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
        total += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    return [*lines, f"{name}_sum {seconds:.6f}", f"{name}_count {total}"]


def _process_lines() -> list[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * 1024.0
    return [
        *_family("process_cpu_seconds_total", "counter", "CPU time of this process.", [({}, cpu)]),
        *_family("process_resident_memory_peak_bytes", "gauge", "Highest resident memory.", [({}, peak)]),
    ]
