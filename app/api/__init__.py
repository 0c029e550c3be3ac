"""JSON for programs, version 1. The factory registers `BLUEPRINTS`."""

from __future__ import annotations

# Dotted `module:name`.
BLUEPRINTS: tuple[str, ...] = (
    "app.api.probes:blueprint",
    "app.api.status:blueprint",
    "app.api.fleet:blueprint",
    "app.api.series:blueprint",
    "app.api.topology:blueprint",
    "app.api.traces:blueprint",
    "app.api.topology_diff:blueprint",
    "app.api.impact:blueprint",
    "app.api.workloads:blueprint",
    "app.api.actions:blueprint",
    "app.api.audit:blueprint",
    "app.api.tokens:blueprint",
    "app.api.otlp:blueprint",
    "app.api.document:blueprint",
)
