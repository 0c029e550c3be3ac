"""What find and hide expressions ask of the inventory: read only when one of them does."""

from __future__ import annotations

from collections.abc import Mapping

from app.model.fleet import Topology
from app.understand.expression import ExpressionError
from app.understand.part import ViewOptions
from app.understand.selection import NO_FACTS, Facts, facts_of, needs_facts
from app.web.reader import Reader


def facts_for(reader: Reader, topology: Topology, asked: ViewOptions) -> Mapping[str, Facts]:
    """Facts by node id; nothing where no expression needs them or none can be read."""
    try:
        needed = needs_facts(asked.find) or needs_facts(asked.hide)
    except ExpressionError:  # told where it is used
        return NO_FACTS
    if not needed:
        return NO_FACTS
    clusters = {node.cluster for node in topology.nodes}
    known = {cluster: reader.inventory(cluster) for cluster in clusters}
    return facts_of(topology, {cluster: found[0] for cluster, found in known.items() if found})
