"""The step that acts: one file per kind of action. `KINDS` names them; each is loaded on first use."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "scale": "app.actions.scale:ScaleAction",
}
