"""Layered services by seed, beside the named shop: up to 1,000 to run live, up to 5,000 as input for benchmarks."""

from __future__ import annotations

import random
from dataclasses import replace

from demo.catalog import Call, Catalog, Endpoint, Service, Store, shop
from demo.plan import Plan

MAX_SERVICES = 5000
MAX_LIVE = 1000
LAYERS = 5
CALLS_EACH = 5
_DOMAINS = (
    "pricing", "media", "delivery", "loyalty", "catalog", "billing", "content", "partner", "fraud", "ads", "returns",
    "analytics",
)  # fmt: skip
_PARTS = (
    "api", "index", "worker", "rules", "sync", "view", "ledger", "planner", "gate", "feed", "profile", "quota",
)  # fmt: skip
_ENGINES = (
    ("postgresql", 5432, 0.003),
    ("redis", 6379, 0.0007),
    ("mysql", 3306, 0.003),
    ("mongodb", 27017, 0.004),
)
_OPERATIONS = {"postgresql": "SELECT", "mysql": "SELECT", "redis": "GET", "mongodb": "find"}
_ENTRY_RPS = 1.5


def catalog(services: int, seed: int) -> Catalog:
    """The shop and generated services up to `services` in total; five edges each, acyclic.

    Generated services stand in five layers. Only the first is called from outside; each calls services of
    the next layer often and of one further down now and then, and one store of its domain.
    """
    named = shop()
    missing = services - len(named.services)
    if missing <= 0:
        return named
    if services > MAX_SERVICES:
        raise ValueError(f"at most {MAX_SERVICES} services, not {services}")
    return _sized(_joined(named, missing, random.Random(seed)))


def _joined(named: Catalog, count: int, rng: random.Random) -> Catalog:
    made = [_service(i, rng) for i in range(count)]
    endpoints = [_endpoint(service, rng) for service in made]
    stores = _stores(count)
    layers = _layers(endpoints)
    calls: list[Call] = []
    for depth, layer in enumerate(layers):
        for place, endpoint in enumerate(layer):
            calls += _calls(endpoint, depth, place, layers, stores, rng)
    demand = {e.key: _ENTRY_RPS * rng.uniform(0.5, 2.0) for e in layers[0]}
    return Catalog(
        (*named.services, *made),
        (*named.endpoints, *endpoints),
        (*named.calls, *calls),
        (*named.stores, *stores),
        named.topics,
        {**named.demand, **demand},
    )


def _service(number: int, rng: random.Random) -> Service:
    domain = _DOMAINS[number % len(_DOMAINS)]
    name = f"{domain}-{rng.choice(_PARTS)}-{number:04d}"
    major, minor, patch = rng.randint(1, 6), rng.randint(0, 20), rng.randint(1, 9)
    return Service(
        name=name,
        replicas=2,
        capacity=1.0,
        version=f"{major}.{minor}.{patch}",
        previous=(f"{major}.{minor}.{patch - 1}",),
        namespace=domain,
        owner=f"team-{domain}",
        cpu_millis=250,
    )


def _endpoint(service: Service, rng: random.Random) -> Endpoint:
    what = service.name.split("-")[1]
    method = "GET" if rng.random() < 0.8 else "POST"
    return Endpoint(service.name, method, f"/{what}/{{id}}", rng.uniform(0.002, 0.012), rng.uniform(0.5, 1.0))


def _stores(count: int) -> list[Store]:
    found = []
    for i in range(max(4, count // 8)):
        engine, port, seconds = _ENGINES[i % len(_ENGINES)]
        domain = _DOMAINS[i % len(_DOMAINS)]
        database = "0" if engine == "redis" else domain
        found.append(Store(f"store-{i:04d}", engine, f"{domain}-{engine}-{i:04d}", port, database, seconds))
    return found


def _layers(endpoints: list[Endpoint]) -> list[list[Endpoint]]:
    """Widening layers: an edge of 10 %, then 15, 20, 25 and 30 %."""
    found, start, total = [], 0, len(endpoints)
    for depth in range(LAYERS):
        end = total if depth == LAYERS - 1 else start + max(1, round(total * (0.10 + 0.05 * depth)))
        found.append(endpoints[start:end])
        start = min(end, total)
    return found


def _calls(
    endpoint: Endpoint,
    depth: int,
    place: int,
    layers: list[list[Endpoint]],
    stores: list[Store],
    rng: random.Random,
) -> list[Call]:
    """Calls of the endpoint at `place` in its layer; the first two walk the next layer, so that all is reached."""
    below = [layer for layer in layers[depth + 1 :] if layer]
    picked: dict[str, Call] = {}
    for store in rng.sample(stores, 1 if below else 3):
        picked[store.name] = Call(
            endpoint.key, store.name, rng.uniform(0.5, 1.2), operation=_OPERATIONS[store.engine]
        )
    for turn in range(CALLS_EACH if below else 0):
        layer = below[0] if turn < 2 or rng.random() < 0.6 else rng.choice(below)
        target = layer[(2 * place + turn) % len(layer)] if turn < 2 else rng.choice(layer)
        critical, retries = rng.random() < 0.6, rng.choice((0, 0, 1))
        picked[target.key] = Call(endpoint.key, target.key, rng.uniform(0.15, 0.5), critical, retries)
    return list(picked.values())


def _sized(found: Catalog) -> Catalog:
    """Give generated services the capacity that their nominal rate asks for, at 25 to 45 % utilisation."""
    plan = Plan(found)
    rates, _ = plan.nominal()
    services = list(found.services)
    for i, endpoints in plan.endpoints_of.items():
        if services[i].capacity == 1.0:
            rate = sum(float(rates[e]) for e in endpoints)
            share = 0.25 + 0.2 * ((i * 7919) % 100) / 100
            capacity = max(20.0, rate / services[i].replicas / share)
            services[i] = replace(services[i], capacity=round(capacity, 1), queue=round(capacity, 1))
    return replace(found, services=tuple(services))
