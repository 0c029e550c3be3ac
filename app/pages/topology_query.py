"""What the topology page is asked for: its parameters, read and checked, and the same for the map's document.

A value that cannot be used becomes a fault beside its field and the page is shown without it, as an error: never
silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from app.model.fleet import Node, Topology
from app.understand.expression import ExpressionError, parse
from app.understand.part import DIRECTIONS, FURTHEST, GROUPS, MODES, ViewOptions
from app.web.documents import Question

VIEWS = ("graph", "table")
HOPS = ("1", "2", "3", "all")
SORTS = ("health", "name", "rate", "errors", "p95")
_SAME = {"ns": "namespace", "owner": "team"}  # other names of a grouping
_CHOICES = {"view": VIEWS, "group": GROUPS, "hops": HOPS, "dir": DIRECTIONS, "mode": MODES, "sort": SORTS}
OWN = (
    "from",
    "to",
    "at",
    "tz",
    "cluster",
    "ns",
    "sel",
    *_CHOICES,
    "errors",
    "focus",
    "target",
    "find",
    "hide",
)
OWN += ("q", "folded", "opened")
_LONGEST_LIST = 4000
_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class TopologyQuery:
    """A page's parameters. focus, target: node ids, typed: what was written for them. faults: sentences by field.

    `missing`: the focus is named well but not seen.
    """

    view: str = "graph"
    group: str = "none"
    hops: str = "1"
    dir: str = "any"
    mode: str = "auto"
    sort: str = "health"
    errors: bool = False
    focus: str = ""
    target: str = ""
    find: str = ""
    hide: str = ""
    folded: str = ""
    opened: str = ""
    cluster: str = ""
    ns: str = ""
    page: int = 0
    typed: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    missing: bool = False

    @property
    def options(self) -> ViewOptions:
        """The same for understanding."""
        return ViewOptions(
            namespaces=frozenset({self.ns} - {""}),
            focus=self.focus or None,
            depth=FURTHEST if self.hops == "all" else int(self.hops),
            direction=self.dir,
            target=self.target or None,
            mode=self.mode,
            errors=self.errors,
            group=self.group,
            find=self.find,
            hide=self.hide,
            folded=frozenset(self.folded.split(",")) - {""},
            opened=frozenset(self.opened.split(",")) - {""},
        )

    def question(self, moment: datetime | None) -> Question:
        """The same as a question to the documents."""
        asked = self.options
        return Question(
            cluster=self.cluster or None,
            namespace=self.ns or None,
            at=moment,
            focus=asked.focus,
            depth=asked.depth,
            direction=asked.direction,
            target=asked.target,
            mode=asked.mode,
            errors=asked.errors,
            find=asked.find,
            hide=asked.hide,
        )

    def api(self, moment: datetime | None, **more: str) -> str:
        """The same as a query of /api/v1/topology; what is usual is left out."""
        asked = self.options
        query = {
            **more,
            "cluster": self.cluster,
            "namespace": self.ns,
            "at": moment.isoformat().replace("+00:00", "Z") if moment else "",
            "focus": self.focus,
            "depth": str(asked.depth) if self.focus else "",
            "dir": self.dir if self.dir != "any" else "",
            "target": self.target,
            "mode": self.mode if self.mode != "auto" else "",
            "errors": "true" if self.errors else "",
            "find": self.find,
            "hide": self.hide,
            "group": self.group if self.group != "none" else "",
            "folded": self.folded,
            "opened": self.opened,
        }
        return urlencode({name: value for name, value in query.items() if value})


def read(args: Mapping[str, str], topology: Topology) -> TopologyQuery:
    """The parameters, names of nodes resolved in this topology; whatever is wrong is told in `faults`."""
    faults: dict[str, str] = {}
    typed = {name: args.get(name, "") for name in ("focus", "target", "find", "hide")}
    typed["find"] = typed["find"] or args.get("q", "")  # its name in the address of other pages
    chosen: dict[str, Any] = {
        name: _choice(args, name, allowed, faults) for name, allowed in _CHOICES.items()
    }
    found = TopologyQuery(
        **chosen,
        errors=_flag(args, faults),
        find=_expression("find", typed["find"], faults),
        hide=_expression("hide", typed["hide"], faults),
        folded=args.get("folded", "")[:_LONGEST_LIST],
        opened=args.get("opened", "")[:_LONGEST_LIST],
        cluster=args.get("cluster", ""),
        ns=args.get("ns", ""),
        page=_page(args, faults),
        typed=typed,
    )
    ends: dict[str, Any] = {name: _node(name, typed[name], topology, faults) for name in ("focus", "target")}
    missing = any(typed[name] and not ends[name] for name in ends) and not faults.keys() - {"focus", "target"}
    if not ends["focus"]:
        ends["target"] = ""
    return replace(found, **ends, faults=faults, missing=missing)


def kept(args: Mapping[str, str]) -> dict[str, str]:
    """The part of a query that is this page's own."""
    return {name: args[name] for name in OWN if args.get(name)}


def shown_name(key: str, topology: Topology) -> str:
    """What to write in a field for a node: its name where that is enough, else its id."""
    node = next((node for node in topology.nodes if node.id == key), None)
    if node is None:
        return key
    return node.name if sum(one.name == node.name for one in topology.nodes) == 1 else key


def _choice(args: Mapping[str, str], name: str, allowed: tuple[str, ...], faults: dict[str, str]) -> str:
    value = args.get(name) or allowed[0]
    value = _SAME.get(value, value) if name == "group" else value
    if value in allowed:
        return value
    faults[name] = f"{name} is one of {', '.join(allowed)}"
    return allowed[0]


def _flag(args: Mapping[str, str], faults: dict[str, str]) -> bool:
    value = args.get("errors", "")
    if value not in ("", "0", "1"):
        faults["errors"] = "errors is 0 or 1"
    return value == "1"


def _expression(name: str, text: str, faults: dict[str, str]) -> str:
    try:
        parse(text)
    except ExpressionError as error:
        faults[name] = str(error)
        return ""
    return text


def _page(args: Mapping[str, str], faults: dict[str, str]) -> int:
    text = args.get("page") or "0"
    if text.isascii() and text.isdigit() and len(text) <= 4:
        return int(text)
    faults["page"] = "page is a number, counted from 0"
    return 0


def _node(name: str, text: str, topology: Topology, faults: dict[str, str]) -> str:
    """The id that a person means by an id, a name or namespace/name."""
    if not text:
        return ""
    wanted = text[:_LONGEST_NAME].casefold()
    same: list[Node] = []
    for node in topology.nodes:
        if node.id == text:
            return node.id
        if wanted in (node.name.casefold(), f"{node.namespace}/{node.name}".casefold()):
            same.append(node)
    if len(same) == 1:
        return same[0].id
    where = ", ".join(sorted(f"{node.namespace}/{node.name}" for node in same)[:5])
    faults[name] = (
        f"several have this name: {where}" if same else "nothing with this name is seen at that time"
    )
    return ""
