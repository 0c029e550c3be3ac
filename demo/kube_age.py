"""How long ago something was, in kubectl's short form (k8s.io/apimachinery/pkg/util/duration)."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(stamp: str) -> float:
    """Epoch seconds of a metav1.Time or MicroTime."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC).timestamp()


def age(stamp: str | None, now: float) -> str:
    """kubectl's short durations: 45s, 3m20s, 12m, 5h3m, 2d4h, 30d."""
    if not stamp:
        return "<unknown>"
    seconds = max(int(now - moment_of(stamp)), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"
