"""Through which of our nodes and edges the entry requests pass, as whole traces told it."""

from __future__ import annotations

import numpy as np

from app.model.fleet import Crossings, Ints
from app.model.series import Floats
from app.understand.columns import Index
from app.understand.merge import Merged

ENOUGH = 30  # traces that make a share; fewer say too little


def entry_shares(merged: Merged) -> tuple[Floats, Floats]:
    """Share of all entry requests per node and per edge, 0..1; NaN where no live witness saw enough traces cross."""
    nodes, edges = np.full(len(merged.nodes), np.nan), np.full(len(merged.edges), np.nan)
    for testimony, (parties, rows) in zip(merged.testimonies, merged.places, strict=True):
        told = testimony.witness.crossings
        if testimony.fresh and told is not None and told.traces.sum() >= ENOUGH:
            _fill(nodes, told, told.node_entry, parties[told.node_party], told.node_requests)
            _fill(edges, told, told.edge_entry, rows[told.edge_row], told.edge_requests)
    return nodes, edges


def _fill(shares: Floats, told: Crossings, entry: Ints, at: Index, requests: Floats) -> None:
    """Give shares to elements that have none yet; parties that became one element count together, at most all."""
    total = float(told.requests.sum())
    kept = at >= 0
    keys, place = np.unique(entry[kept].astype(np.int64) * len(shares) + at[kept], return_inverse=True)
    if not len(keys) or total <= 0:
        return
    crossed = np.bincount(place, requests[kept], minlength=len(keys))
    crossed = np.minimum(crossed, told.requests[keys // len(shares)])
    found = np.bincount(keys % len(shares), crossed, minlength=len(shares)) / total
    given = np.isnan(shares) & (found > 0)
    shares[given] = np.minimum(found[given], 1.0)
