"""Twenty stored minutes of the shop: ten as usual, then ten in which order fails and payment has a new version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from app import clock
from app.model.fleet import EvidenceKind, Frame, Heard
from app.model.series import Window
from app.store import frames
from app.store.engine import Store
from app.web.windows import written
from tests.support import shown

MINUTE = timedelta(minutes=1)


def remember(store: Store) -> dict[str, str]:
    """Store them; answers both windows as the query `a` and `b`."""
    fleet = shown.make_fleet(clock.now())
    end = fleet.as_of.replace(second=0, microsecond=0) - 10 * MINUTE
    with store.begin() as session:
        for back in range(20, 0, -1):
            minute = shown.make_minute(fleet, end - back * MINUTE, bad=back <= 10)
            frames.write(session, _told(minute, "v43" if back <= 10 else "v42"))
    shown.answered(store, fleet.as_of)
    shown.show(store, fleet)
    middle = end - 10 * MINUTE
    return {"a": written(Window(end - 20 * MINUTE, middle)), "b": written(Window(middle, end))}


def _told(frame: Frame, version: str) -> Frame:
    """The frame with who gave the numbers, and the version of payment."""
    bits = EvidenceKind.TRACES.bit
    name = next(key for key in frame.node_ids if key.endswith(":payment"))
    attributes = {key: dict(value) for key, value in frame.attributes.items()}
    attributes[name]["versions"] = version
    return replace(
        frame,
        attributes=attributes,
        node_seen=np.full(len(frame.node_ids), bits, np.uint16),
        edge_seen=np.full(len(frame.edge_ids), bits, np.uint16),
        witnesses={"traces": Heard(60.0, 1.0)},
    )
