"""What find and hide expressions can ask: one table that the parser, its messages and the help text share.

Names and abbreviations of Kiali are kept with the units they imply (reference: inspections 12.1, 12.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from app.model.fleet import HealthStatus, NodeKind


class Of(StrEnum):
    """Whose field it is."""

    NODE = "node"
    EDGE = "edge"
    BOTH = "both"


class Type(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"


class Scope(StrEnum):
    """The end that a prefix pins; HERE = none was written."""

    HERE = ""
    FROM = "from"
    TO = "to"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Unit:
    """Suffixes with their factors to the base unit; `bare` = that of a number without one (None = not allowed)."""

    factors: Mapping[str, float]
    expected: str
    bare: float | None = None


LATENCY = Unit({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}, "a number with unit ms or s")
AGE = Unit({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}, "a number with unit s, m or h")
SHARE = Unit({"%": 0.01}, "a number with unit %")
RATE = Unit({"rps": 1.0}, "a number with unit rps", bare=1.0)
SIZE = Unit({"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}, "a number with unit B, kB, MB or GB", bare=1.0)
COUNT = Unit({}, "a number", bare=1.0)


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `known` = there is evidence for it; `protocol` narrows an edge's number to these calls."""

    name: str
    of: Of
    type: Type
    meaning: str
    unit: Unit = COUNT
    choices: tuple[str, ...] = ()
    known: bool = True
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Operand:
    """A field under a name that can be written, with the end it is about."""

    field: Field
    scope: Scope = Scope.HERE


@dataclass(frozen=True, slots=True)
class _Table:
    """The fields being listed."""

    rows: dict[str, Operand] = field(default_factory=dict)

    def text(
        self, name: str, of: Of, meaning: str, *, known: bool = True, choices: tuple[str, ...] = ()
    ) -> None:
        self.rows[name] = Operand(Field(name, of, Type.TEXT, meaning, known=known, choices=choices))

    def number(self, name: str, of: Of, unit: Unit, meaning: str, *, known: bool = True) -> None:
        self.rows[name] = Operand(Field(name, of, Type.NUMBER, meaning, unit, known=known))

    def flag(self, name: str, of: Of, meaning: str, *, known: bool = True) -> None:
        self.rows[name] = Operand(Field(name, of, Type.FLAG, meaning, known=known))


def _own() -> dict[str, Operand]:
    """Our fields, in the order of the help text."""
    table = _Table()
    table.text("name", Of.NODE, "name; a bare word looks into it")
    table.text("ns", Of.NODE, "namespace")
    table.text("cluster", Of.NODE, "cluster")
    table.text("kind", Of.NODE, "what it is", choices=tuple(NodeKind))
    table.text("team", Of.NODE, "owner")
    table.text("owner", Of.NODE, "owner")
    table.text("tier", Of.NODE, "label tier of its workload")
    table.text("version", Of.NODE, "a version that runs")
    table.text("workload", Of.NODE, "Kubernetes workload")
    table.text("status", Of.BOTH, "health", choices=tuple(HealthStatus))
    table.number("rate", Of.BOTH, RATE, "requests per second")
    table.number("err", Of.BOTH, SHARE, "share of failed requests")
    for name in ("p50", "p95", "p99"):
        table.number(name, Of.BOTH, LATENCY, f"latency, {name}; of a connection as its caller sees it")
    table.number("ready", Of.NODE, COUNT, "pods ready")
    table.number("restarts", Of.NODE, COUNT, "restarts of its pods")
    table.number("rank", Of.NODE, COUNT, "1 = most connections")
    table.number("changed", Of.NODE, AGE, "time since its last rollout began")
    table.number("bytes", Of.EDGE, SIZE, "bytes per second", known=False)
    table.text("protocol", Of.EDGE, "http, grpc, tcp, postgresql …")
    table.text("source", Of.EDGE, "who tells of it: traces, istio, service-graph …")
    table.number("age", Of.EDGE, AGE, "time since it was last seen")
    table.flag("healthy", Of.BOTH, "healthy; !healthy = degraded or failing")
    table.flag("idle", Of.BOTH, "no traffic")
    table.flag("unknown", Of.BOTH, "nobody knows how it is")
    table.flag("entry", Of.NODE, "requests from outside arrive here")
    table.flag("external", Of.NODE, "outside of the fleet")
    table.flag("async", Of.EDGE, "through a queue")
    table.flag("traffic", Of.EDGE, "carries requests now")
    for name, meaning in (
        ("cpu", "processor"),
        ("mem", "memory"),
        ("slo", "objective"),
        ("budget", "error budget left"),
    ):
        unit = {"mem": SIZE, "cpu": COUNT}.get(name, SHARE)
        table.number(name, Of.NODE, unit, meaning, known=False)
    table.flag("firing", Of.NODE, "an alert fires", known=False)
    table.flag("acked", Of.NODE, "its alert is acknowledged", known=False)
    table.flag("mtls", Of.EDGE, "encrypted by a mesh", known=False)
    return table.rows


def _of_kiali(own: Mapping[str, Operand]) -> dict[str, Operand]:
    """Kiali's operands and flags; what only its mesh configuration tells is known by name and matches nothing."""
    found: dict[str, Operand] = {}

    def same(target: str, *names: str) -> None:
        found.update(dict.fromkeys(names, own[target]))

    same("name", "app", "service", "svc")
    same("workload", "wl")
    same("ns", "namespace")
    same("kind", "node")
    same("status", "health")
    same("rate", "rps")
    same("source", "evidence")
    same("entry", "trafficsource", "root")
    slow = replace(own["p95"].field, unit=replace(LATENCY, bare=0.001))
    found |= dict.fromkeys(("responsetime", "rt"), Operand(slow, Scope.EDGE))
    same("bytes", "throughput")
    percent = replace(SHARE, bare=0.01)
    for protocol in ("http", "grpc"):
        rate = replace(own["rate"].field, of=Of.EDGE, protocol=protocol)
        found[protocol] = Operand(rate)
        failed = replace(own["err"].field, of=Of.EDGE, unit=percent, protocol=protocol)
        found |= dict.fromkeys((f"%{protocol}err", f"%{protocol}error"), Operand(failed))
        part = Field("share", Of.EDGE, Type.NUMBER, "share of its caller's calls", percent, protocol=protocol)
        found[f"%{protocol}traffic"] = Operand(part)
        for way in ("in", "out"):
            found[f"{protocol}{way}"] = Operand(Field(way, Of.NODE, Type.NUMBER, "", RATE, protocol=protocol))
    return found | _unknown_to_us()


def _unknown_to_us() -> dict[str, Operand]:
    numbers = {"tcp": Of.EDGE, "tcpin": Of.NODE, "tcpout": Of.NODE}
    texts = {"sourceprincipal": Of.EDGE, "destprincipal": Of.EDGE, "operation": Of.NODE, "op": Of.NODE}
    flags = (
        "circuitbreaker cb dead faultinjection fi inaccessible mirroring outside requestrouting rr requesttimeout"
        " rto serviceentry se sidecar sc tcptrafficshifting tcpts trafficshifting ts virtualservice vs workloadentry we"
    )
    found = {name: Field(name, of, Type.NUMBER, "", SIZE, known=False) for name, of in numbers.items()}
    found |= {name: Field(name, of, Type.TEXT, "", known=False) for name, of in texts.items()}
    found |= {name: Field(name, Of.NODE, Type.FLAG, "", known=False) for name in flags.split()}
    return {name: Operand(one) for name, one in found.items()}


OWN: Mapping[str, Operand] = MappingProxyType(_own())
OPERANDS: Mapping[str, Operand] = MappingProxyType({**OWN, **_of_kiali(OWN)})


def label(key: str) -> Operand:
    """The field of a Kubernetes label."""
    return Operand(Field(f"label:{key}", Of.NODE, Type.TEXT, f"label {key} of its workload"))
