"""Where the nodes of a map stand, put there by people: one pinned place for everybody, and giving them all back.

The map's document names the drawing (`layout.view`) whose places it shows; these forms name it again.
"""

from __future__ import annotations

import math

from flask import Blueprint, request

from app.errors import BadInput, NotFound
from app.store import positions
from app.web.access import requires
from app.web.services import services

blueprint = Blueprint("places", __name__)

FURTHEST = 1_000_000.0  # map units from the origin


@blueprint.post("/topology/pin")
@requires("act")
def pin() -> tuple[str, int]:
    """Keep `node` of `view` at `x`, `y` whatever the layout says; `free=1` puts it there without pinning it."""
    view, node = request.form.get("view", ""), request.form.get("node", "")
    x, y = _number("x"), _number("y")
    with services().store.begin() as session:
        if node not in positions.positions(session, view):
            raise NotFound("This node is not on that map any longer.")
        positions.pin(session, view, node, x, y, pinned=request.form.get("free") != "1")
    return "", 204


@blueprint.post("/topology/unpin")
@requires("act")
def unpin() -> tuple[str, int]:
    """Give all nodes of `view` back to the layout; nothing moves until it is tidied up."""
    with services().store.begin() as session:
        positions.unpin_all(session, request.form.get("view", ""))
    return "", 204


def _number(name: str) -> float:
    """A coordinate in map units. Raises BadInput."""
    try:
        value = float(request.form.get(name, ""))
    except ValueError as error:
        raise BadInput(f"{name} is a number in map units", field=name) from error
    if not math.isfinite(value) or abs(value) > FURTHEST:
        raise BadInput(f"{name} is at most {FURTHEST:.0f} map units from the origin", field=name)
    return value
