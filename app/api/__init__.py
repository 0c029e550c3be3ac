"""JSON for programs, version 1. `BLUEPRINTS` names every blueprint that is served."""

from __future__ import annotations

BLUEPRINTS: tuple[str, ...] = ()
