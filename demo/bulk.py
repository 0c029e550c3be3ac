"""Input for benchmarks: what fleets of up to 5,000 services would send and expose, by seed, without running one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.model.series import Floats
from demo import generate
from demo.catalog import Endpoint, Store
from demo.metrics import Exporter
from demo.model import Fleet
from demo.plan import Index, gathered
from demo.spans import Bodies
from demo.still import StillPods
from demo.traces import Tracer

EPOCH = 1_790_000_000.0
_PODS_PER_BODY = 16


@dataclass(frozen=True, slots=True)
class Edges:
    """Calls between named parties in columns: indexes of source and target, rate (1/s), failing share, mean s.

    A service is named `namespace/name`, a store `engine@host:port`, a topic `system/name`.
    """

    parties: tuple[str, ...]
    source: Index
    target: Index
    rate: Floats
    failing: Floats
    seconds: Floats


def settled(services: int, seed: int) -> Fleet:
    """A quiet fleet in balance, nothing counted yet."""
    catalog = generate.catalog(services, seed)
    return Fleet(catalog, StillPods(catalog), seed=seed, start=EPOCH)


def span_bodies(services: int, spans: int, seed: int) -> Iterator[bytes]:
    """Export requests (protobuf, uncompressed) with at least `spans` spans in all, 16 instances a body.

    Whole traces, spread over the bodies as the services of a real fleet would send them.
    """
    fleet = settled(services, seed)
    tracer = Tracer(fleet, seed=seed, ratio=1.0, most=spans)
    bodies = Bodies(tracer.sampling.tracestate, split=max(1, len(fleet.pods.views) // _PODS_PER_BODY))
    moment = EPOCH
    while bodies.spans < spans:
        moment += 1.0
        tracer.flush(moment, 1.0, into=bodies)
    yield from bodies.written()


def pages(services: int, seed: int, *, seconds: int = 60) -> Iterator[str]:
    """Every exporter's page after `seconds` of model time: of pods, above 100 services of nodes."""
    fleet = settled(services, seed)
    for _ in range(seconds):
        fleet.step(1.0)
    exporter = Exporter(fleet)
    if fleet.plan.catalog.big:
        yield from (exporter.node(node) for node in sorted({view.node for view in fleet.pods.views}))
        return
    for place, view in enumerate(fleet.pods.views):
        yield exporter.pod(fleet.plan.catalog.services[int(fleet.pods.service[place])].namespace, view.name)


def edges(services: int, seed: int) -> Edges:
    """Who calls whom, added up per pair of parties."""
    fleet = settled(services, seed)
    plan, state = fleet.plan, fleet.state
    names = [_party(fleet, target) for target in plan.targets]
    parties = tuple(dict.fromkeys(names))
    at = {name: i for i, name in enumerate(parties)}
    party = np.array([at[name] for name in names])
    keys, pair = np.unique(party[plan.source] * len(parties) + party[plan.target], return_inverse=True)
    rate = gathered(pair, state.call_rate, len(keys))
    weight = np.maximum(rate, 1e-12)
    failing = gathered(pair, state.call_rate * state.call_failing, len(keys)) / weight
    seconds = gathered(pair, state.call_rate * state.mean[plan.target], len(keys)) / weight
    return Edges(parties, keys // len(parties), keys % len(parties), rate, failing, seconds)


def _party(fleet: Fleet, target: object) -> str:
    if isinstance(target, Endpoint):
        service = fleet.plan.catalog.services[fleet.plan.endpoint_service[fleet.plan.target_at[target.key]]]
        return f"{service.namespace}/{service.name}"
    if isinstance(target, Store):
        return f"{target.engine}@{target.host}:{target.port}"
    return f"kafka/{getattr(target, 'name', '')}"
