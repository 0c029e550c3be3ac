"""What the simulated shop is made of: services, endpoints, calls, stores, topics, and how many people come.

Pure declarations; how they behave under load is `demo.model`'s, what runs them `demo.cluster`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from demo.seam import WorkloadSpec

NAMESPACE = "shop"
HTTP_PORT = 8080


@dataclass(frozen=True, slots=True)
class Service:
    """A service and the workload that runs it.

    `capacity` is the work one pod does per second (an endpoint of cost 1 = one request), `threads` how many
    requests a pod holds at once, `queue` how many may wait in front of a pod before it answers 503.
    """

    name: str
    replicas: int
    capacity: float
    version: str
    previous: tuple[str, ...] = ()
    namespace: str = NAMESPACE
    kind: str = "Deployment"
    threads: int = 64
    queue: float = 40.0
    memory_mib: int = 256
    cpu_millis: int = 500
    autoscale: tuple[int, int] | None = None
    min_available: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of a service, or (with `topic`) a consumer of a topic.

    `seconds` is the mean time of its own work without dependencies, `spread` the ratio of standard deviation
    to mean, `missing` the share answered 404, `deadline` the seconds after which the service gives up (504).
    """

    service: str
    method: str
    route: str
    seconds: float
    spread: float = 0.7
    cost: float = 1.0
    missing: float = 0.0
    success: int = 200
    deadline: float = 3.0
    topic: str = ""

    @property
    def key(self) -> str:
        """Name by which calls refer to it."""
        return f"{self.service} {self.method} {self.route}"


@dataclass(frozen=True, slots=True)
class Call:
    """An endpoint calls another endpoint, a store or a topic `times` per request (a share below 1 = sometimes).

    A failed critical call fails the request. `retries` follow each other without a pause.
    """

    source: str
    target: str
    times: float = 1.0
    critical: bool = True
    retries: int = 0
    timeout: float = 2.0
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A database, cache or foreign API that is seen only through its callers (`engine` http = foreign API)."""

    name: str
    engine: str
    host: str
    port: int
    database: str = ""
    seconds: float = 0.003
    spread: float = 0.8
    capacity: float = 2000.0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the message broker."""

    name: str
    host: str = "kafka"
    port: int = 9092
    system: str = "kafka"
    partitions: int = 3


@dataclass(frozen=True, slots=True)
class Catalog:
    """A whole fleet. `demand` is the open-loop request rate (1/s) from outside, per endpoint key."""

    services: tuple[Service, ...]
    endpoints: tuple[Endpoint, ...]
    calls: tuple[Call, ...]
    stores: tuple[Store, ...]
    topics: tuple[Topic, ...]
    demand: dict[str, float] = field(default_factory=dict)

    @property
    def big(self) -> bool:
        """Above 100 services one exporter per node carries its pods' series, and edges have no buckets."""
        return len(self.services) > 100


SERVICES = (
    Service("gateway", 3, 150.0, "5.2.0", ("5.1.3",), min_available=2, owner="team-edge"),
    Service("order", 3, 30.0, "3.4.1", ("3.3.0", "3.4.0"), queue=30.0, min_available=2, owner="team-order"),
    Service("inventory", 3, 60.0, "2.8.0", ("2.7.4",), queue=150.0, owner="team-order"),
    Service("payment", 2, 60.0, "4.1.2", ("4.0.9", "4.1.1"), queue=60.0, min_available=1, owner="team-pay"),
    Service("cart", 3, 80.0, "1.9.3", ("1.9.2",), kind="StatefulSet", owner="team-order"),
    Service("user", 2, 100.0, "6.0.1", ("6.0.0",), owner="team-account"),
    Service("recommendation", 2, 70.0, "0.21.0", ("0.20.4",), autoscale=(2, 6), owner="team-discovery"),
    Service("search", 2, 75.0, "2.3.3", ("2.3.2",), autoscale=(2, 6), memory_mib=512, owner="team-discovery"),
    Service("risk-control", 2, 120.0, "1.14.0", ("1.13.2",), owner="team-pay"),
    Service("customer-service", 2, 25.0, "1.2.7", owner="team-account"),
    Service("notification", 2, 60.0, "2.0.5", ("2.0.4",), owner="team-account"),
)

ENDPOINTS = (
    Endpoint("gateway", "GET", "/api/products", 0.004),
    Endpoint("gateway", "GET", "/api/home", 0.004),
    Endpoint("gateway", "GET", "/api/cart", 0.003),
    Endpoint("gateway", "POST", "/api/cart/items", 0.003, success=201),
    Endpoint("gateway", "POST", "/api/orders", 0.005, success=201),
    Endpoint("gateway", "GET", "/api/orders/{id}", 0.004, missing=0.004),
    Endpoint("gateway", "POST", "/api/login", 0.004, missing=0.01),
    Endpoint("gateway", "GET", "/api/support/{ticket}", 0.004),
    Endpoint("order", "POST", "/orders", 0.018, success=201),
    Endpoint("order", "GET", "/orders/{id}", 0.012, missing=0.004),
    Endpoint("inventory", "POST", "/reservations", 0.008, success=201, deadline=2.0),
    Endpoint("inventory", "GET", "/stock/{sku}", 0.004, deadline=2.0),
    Endpoint("payment", "POST", "/payments", 0.012, success=201),
    Endpoint("cart", "GET", "/carts/{user}", 0.004),
    Endpoint("cart", "POST", "/carts/{user}/items", 0.005, success=201),
    Endpoint("user", "GET", "/users/{id}", 0.004, cost=0.7),
    Endpoint("user", "POST", "/sessions", 0.040, missing=0.01, success=201),
    Endpoint("recommendation", "GET", "/recommendations", 0.030, spread=0.9),
    Endpoint("recommendation", "PROCESS", "order-events", 0.006, cost=0.2, topic="order-events"),
    Endpoint("search", "GET", "/search", 0.012, spread=0.9),
    Endpoint("risk-control", "POST", "/assessments", 0.010),
    Endpoint("risk-control", "PROCESS", "payment-events", 0.008, cost=0.5, topic="payment-events"),
    Endpoint("customer-service", "GET", "/tickets/{id}", 0.025),
    Endpoint("notification", "POST", "/notifications", 0.010, success=202),
    Endpoint("notification", "PROCESS", "order-events", 0.015, topic="order-events"),
)

CALLS = (
    Call("gateway GET /api/products", "search GET /search"),
    Call("gateway GET /api/home", "recommendation GET /recommendations", critical=False, timeout=1.0),
    Call("gateway GET /api/home", "sessions", critical=False, operation="GET"),
    Call("gateway GET /api/cart", "sessions", operation="GET"),
    Call("gateway GET /api/cart", "cart GET /carts/{user}", retries=1),
    Call("gateway POST /api/cart/items", "cart POST /carts/{user}/items"),
    Call("gateway POST /api/orders", "sessions", operation="GET"),
    Call("gateway POST /api/orders", "user GET /users/{id}", retries=1),
    Call("gateway POST /api/orders", "order POST /orders", timeout=4.0),
    Call("gateway GET /api/orders/{id}", "order GET /orders/{id}", timeout=4.0),
    Call("gateway POST /api/login", "user POST /sessions"),
    Call("gateway GET /api/support/{ticket}", "customer-service GET /tickets/{id}"),
    Call("order POST /orders", "cart GET /carts/{user}", retries=1),
    Call("order POST /orders", "risk-control POST /assessments", critical=False, timeout=1.0),
    Call("order POST /orders", "inventory POST /reservations", retries=1, timeout=1.0),
    Call("order POST /orders", "payment POST /payments"),
    Call("order POST /orders", "orders-db", 2.0, operation="INSERT"),
    Call("order POST /orders", "order-events", critical=False),
    Call("order GET /orders/{id}", "orders-db", operation="SELECT"),
    Call("inventory POST /reservations", "inventory-db", operation="UPDATE"),
    Call("inventory GET /stock/{sku}", "inventory-cache", operation="GET"),
    Call("inventory GET /stock/{sku}", "inventory-db", 0.1, operation="SELECT"),
    Call("payment POST /payments", "payments-db", operation="INSERT"),
    Call("payment POST /payments", "acquirer", retries=1, timeout=3.0, operation="POST"),
    Call("payment POST /payments", "payment-events", critical=False),
    Call("cart GET /carts/{user}", "carts", operation="HGETALL"),
    Call("cart POST /carts/{user}/items", "carts", operation="HSET"),
    Call(
        "cart POST /carts/{user}/items", "inventory GET /stock/{sku}", critical=False, retries=1, timeout=1.0
    ),
    Call("user GET /users/{id}", "users-db", operation="SELECT"),
    Call("user POST /sessions", "users-db", operation="SELECT"),
    Call("user POST /sessions", "sessions", operation="SET"),
    Call("user POST /sessions", "notification POST /notifications", 0.2, critical=False),
    Call("recommendation GET /recommendations", "sessions", critical=False, operation="GET"),
    Call("recommendation GET /recommendations", "catalogue", 0.5, critical=False, operation="search"),
    Call("recommendation PROCESS order-events", "sessions", operation="INCR"),
    Call("search GET /search", "catalogue", operation="search"),
    Call("search GET /search", "inventory GET /stock/{sku}", 0.5, critical=False, retries=1, timeout=1.0),
    Call("risk-control POST /assessments", "risk-cache", operation="GET"),
    Call("risk-control PROCESS payment-events", "risk-cache", operation="SET"),
    Call("customer-service GET /tickets/{id}", "order GET /orders/{id}", 0.8, critical=False),
    Call("customer-service GET /tickets/{id}", "user GET /users/{id}", critical=False),
    Call("customer-service GET /tickets/{id}", "notification POST /notifications", 0.4, critical=False),
    Call("notification POST /notifications", "users-db", operation="SELECT"),
)

STORES = (
    Store("orders-db", "postgresql", "orders-db", 5432, "orders", 0.004),
    Store("inventory-db", "postgresql", "inventory-db", 5432, "inventory", 0.003),
    Store("payments-db", "postgresql", "payments-db", 5432, "payments", 0.003),
    Store("users-db", "postgresql", "users-db", 5432, "users", 0.003),
    Store("carts", "redis", "cart-redis", 6379, "0", 0.0007, capacity=8000.0),
    Store("sessions", "redis", "sessions-redis", 6379, "0", 0.0006, capacity=8000.0),
    Store("inventory-cache", "redis", "inventory-redis", 6379, "0", 0.0006, capacity=8000.0),
    Store("risk-cache", "redis", "risk-redis", 6379, "0", 0.0007, capacity=8000.0),
    Store("catalogue", "elasticsearch", "elasticsearch", 9200, "products", 0.014, 0.9),
    Store("acquirer", "http", "api.acquirer.example", 443, "", 0.022, 0.7),
)

TOPICS = (Topic("order-events"), Topic("payment-events"))

DEMAND = {
    "gateway GET /api/products": 32.0,
    "gateway GET /api/home": 24.0,
    "gateway GET /api/cart": 12.0,
    "gateway POST /api/cart/items": 10.0,
    "gateway POST /api/orders": 30.0,
    "gateway GET /api/orders/{id}": 18.0,
    "gateway POST /api/login": 8.0,
    "gateway GET /api/support/{ticket}": 5.0,
}


def shop() -> Catalog:
    """The named fleet, without anything generated."""
    return Catalog(SERVICES, ENDPOINTS, CALLS, STORES, TOPICS, DEMAND)


def image_of(service: Service, version: str = "") -> str:
    """The container image of a version (default: the current one)."""
    return f"registry.example/{service.namespace}/{service.name}:{version or service.version}"


def workload_specs(catalog: Catalog | None = None) -> list[WorkloadSpec]:
    """What the simulated cluster is seeded with; without a catalog, the named fleet."""
    return [_workload(service) for service in (catalog or shop()).services]


def _workload(service: Service) -> WorkloadSpec:
    labels = {"app.kubernetes.io/name": service.name, "app.kubernetes.io/part-of": service.namespace}
    if service.owner:
        labels["team"] = service.owner
    return WorkloadSpec(
        name=service.name,
        namespace=service.namespace,
        kind=service.kind,
        replicas=service.replicas,
        image=image_of(service),
        version=service.version,
        previous=service.previous,
        labels=labels,
        cpu_request=f"{service.cpu_millis}m",
        memory_request=f"{service.memory_mib}Mi",
        autoscale=service.autoscale,
        min_available=service.min_available,
    )
