"""What hangs on a node or connection, as the panel and the page of a service tell it."""

from __future__ import annotations

from dataclasses import dataclass

from app.model.fleet import Edge, Node
from app.pages import format as form
from app.pages import timerange
from app.understand.impact import Affected, Impact, impact_of_edge, impact_of_node, sentence, share_words
from app.web.services import services

SHOWN = 5
_ENTRIES = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """Sentences, and the first callers with what they send to the element; `more` callers are left out."""

    words: str
    entries: str
    callers: tuple[tuple[Node, str], ...]
    more: int


def hanging_on(element: Node | Edge) -> Shown:
    """What hangs on it at the time of the page, within its own cluster. Raises NotFound."""
    topology = services().reader.topology(element.id.partition(":")[0], at=timerange.requested().moment)
    found = impact_of_node if isinstance(element, Node) else impact_of_edge
    impact = found(topology, element.id)
    return Shown(
        words=sentence(impact),
        entries=_entries(impact),
        callers=tuple((one.node, _sends(one)) for one in impact.callers[:SHOWN]),
        more=max(0, len(impact.callers) - SHOWN),
    )


def _entries(impact: Impact) -> str:
    """`They enter at web and mobile.`, empty where nothing is known."""
    names = [form.cut(one.node.name, 60) for one in impact.entries]
    if not names:
        return ""
    more = f" and {len(names) - _ENTRIES} more" if len(names) > _ENTRIES else ""
    return f"They enter at {', '.join(names[:_ENTRIES])}{more}."


def _sends(one: Affected) -> str:
    told = "begins requests" if one.share is None else f"{share_words(one.share)} of its requests"
    return told if one.waits else f"{told}, through queues"
