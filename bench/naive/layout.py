"""The plain way to draw a graph: networkx, by springs."""

from __future__ import annotations

import networkx as nx
import numpy as np
from networkx.drawing.layout import _fruchterman_reingold


def springs(count: int, edges: list[tuple[int, int]]) -> np.ndarray:
    """Its spring_layout on a dense matrix (its sparse form wants a further library)."""
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(edges)
    return _fruchterman_reingold(nx.to_numpy_array(graph, weight=None), iterations=50, seed=1)
