"""Who is at the other end of a call, read from the attributes of the calling span.

Precedence and renamed attributes follow the semantic conventions up to 1.44 (current name first, deprecated ones
after it). Only span attributes are asked, never those of the resource, and only the caller's: on a server span
the same names mean the client or the service itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit

from app.model.fleet import Identity, NodeKind
from app.model.trace import Outcome, SpanKind, outcome_of_error
from app.understand.names import engine_kind, engine_name, is_loopback, join_address, split_address
from collectors.otlp_wire import Wanted

_CUT = 512
MOST_MESSAGES = 10_000

_REMOTE = ("service.peer.name", "peer.service", "faas.invoked_name")
_HOSTS = (
    ("server.address", "server.port"),
    ("network.peer.address", "network.peer.port"),
    ("net.peer.name", "net.peer.port"),
    ("net.sock.peer.addr", "net.sock.peer.port"),
    ("net.peer.ip", "net.peer.port"),
)
_URLS = ("url.full", "http.url")
_ENGINES = ("db.system.name", "db.system")
_DB_NAMES = ("db.namespace", "db.name", "db.redis.database_index", "db.instance")
_DESTINATIONS = (
    "messaging.destination.template",
    "messaging.destination.name",
    "messaging.destination",
)
# Attributes of cloud services that name what is called: the system, and what is cut off in front of the name.
_CLOUD_QUEUES = {
    "aws.sqs.queue.url": ("aws_sqs", "/"),
    "aws.sns.topic.arn": ("aws.sns", ":"),
    "aws.kinesis.stream_name": ("aws.kinesis", "/"),
}
_CLOUD_OPERATIONS = {
    "ReceiveMessage": "receive",
    "GetRecords": "receive",
    "DeleteMessage": "settle",
    "DeleteMessageBatch": "settle",
    "ChangeMessageVisibility": "settle",
    "ChangeMessageVisibilityBatch": "settle",
}
_CLOUD_STORES = {"aws.s3.bucket": "aws.s3", "aws.dynamodb.table_names": "aws.dynamodb"}
_OPERATIONS = ("messaging.operation.type", "messaging.operation")
_RPC_SYSTEMS = ("rpc.system.name", "rpc.system")
_HTTP_METHODS = ("http.request.method", "http.method")
_HTTP_STATUS = ("http.response.status_code", "http.status_code")
_GRPC_STATUS = ("rpc.response.status_code", "rpc.grpc.status_code")
_MESSAGES = "messaging.batch.message_count"
_UNNAMED = ("messaging.destination.temporary", "messaging.destination.anonymous")

STATUS_KEYS = Wanted(*_HTTP_STATUS, *_GRPC_STATUS)
PROTOCOL_KEYS = Wanted(*_RPC_SYSTEMS, *_HTTP_METHODS, *_URLS)
# Asked only when nothing else names a host: a URL differs from span to span, which defeats every cache.
URL_KEYS = Wanted(*_URLS, "http.host", "rpc.method")
PEER_KEYS = Wanted(
    *_REMOTE,
    "service.peer.namespace",
    *(key for pair in _HOSTS for key in pair),
    *_ENGINES,
    *_DB_NAMES,
    "messaging.system",
    *_DESTINATIONS,
    *_OPERATIONS,
    *_UNNAMED,
    _MESSAGES,
    *_RPC_SYSTEMS,
    *_HTTP_METHODS,
    *_CLOUD_QUEUES,
    *_CLOUD_STORES,
)

_OLD_OPERATIONS = {"publish": "send", "deliver": "process"}
_OLD_RPC = {"apache_dubbo": "dubbo", "connect_rpc": "connectrpc"}


class Role(IntEnum):
    """What a span means for the graph, by its attributes first and its kind second."""

    IGNORED = 0
    CALL = 1  # caller's half of a call
    SERVE = 2  # callee's half
    SEND = 3  # service -> destination
    RECEIVE = 4  # destination -> service, a batch fetched
    PROCESS = 5  # destination -> service, a message handled
    CREATE = 6  # one message made; drawn by nobody, others link to it


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end: its identity (None = the span does not say), the protocol ("" = not told) and the role.

    messages: how many a messaging span says it stands for, 0 = it does not say. guessed: only the method called
    tells whether a message was sent or fetched.
    """

    identity: Identity | None
    protocol: str
    role: Role
    messages: int = 0
    guessed: bool = False

    @property
    def placed(self) -> bool:
        """Whether the attributes told where the peer is, so that its URL and method need not be asked."""
        if self.protocol == "messaging":
            return not self.guessed
        return self.identity is not None and self.identity.address != ""

    @property
    def certain(self) -> bool:
        """Whether no server span will ever answer: a store or a queue."""
        return self.identity is not None and self.identity.kind is not NodeKind.EXTERNAL


def peer_of(attributes: dict[str, str], *, kind: SpanKind, caller: str) -> Peer:
    """The peer of a CLIENT, PRODUCER or CONSUMER span. `caller` is the scope of peers only it can name."""
    if "messaging.system" in attributes or _first(attributes, _DESTINATIONS) or _cloud_queue(attributes)[1]:
        return _queue(attributes, kind, caller)
    role = Role.SERVE if kind is SpanKind.CONSUMER else Role.CALL
    engine = engine_name(_first(attributes, _ENGINES))
    if engine and engine != "other_sql":
        return Peer(_store(attributes, engine, caller), engine[:_CUT], role)
    for key, cloud in _CLOUD_STORES.items():
        if name := attributes.get(key):
            return Peer(_cloud_store(attributes, cloud, name[:_CUT]), cloud, role)
    return Peer(_external(attributes, caller), protocol_of(attributes), role)


def protocol_of(attributes: dict[str, str]) -> str:
    """http, grpc, another RPC system, or "" when the span does not say."""
    system = _first(attributes, _RPC_SYSTEMS)
    if system:
        return _OLD_RPC.get(system.lower(), system[:_CUT].lower())
    return "http" if _first(attributes, _HTTP_METHODS) or _first(attributes, _URLS) else ""


def outcome_of(attributes: dict[str, str]) -> Outcome:
    """How a span with status ERROR ended, by the response codes among its attributes."""
    return outcome_of_error(
        http_status=_first(attributes, _HTTP_STATUS), grpc_status=_first(attributes, _GRPC_STATUS)
    )


def _first(attributes: dict[str, str], keys: tuple[str, ...]) -> str:
    for key in keys:
        if text := attributes.get(key):
            return text
    return ""


def _store(attributes: dict[str, str], engine: str, caller: str) -> Identity:
    address = _address(attributes)
    return Identity(
        kind=engine_kind(engine),
        engine=engine[:_CUT],
        address=address,
        alias=_first(attributes, _REMOTE)[:_CUT],
        detail=(_first(attributes, _DB_NAMES) or attributes.get("aws.dynamodb.table_names", ""))[:_CUT],
        scope=_scope(address, caller),
    )


def _cloud_store(attributes: dict[str, str], engine: str, name: str) -> Identity:
    """A bucket is a node by its name, wherever it is reached; a table belongs to its endpoint if that is told."""
    address = "" if engine == "aws.s3" else _address(attributes)
    return Identity(
        kind=NodeKind.DATABASE,
        engine=engine,
        address=address or name.lower(),
        alias=_first(attributes, _REMOTE)[:_CUT],
        detail=name if address else "",
    )


def _cloud_queue(attributes: dict[str, str]) -> tuple[str, str]:
    """(system, destination) that a cloud's own attribute tells, both empty if there is none."""
    for key, (system, before) in _CLOUD_QUEUES.items():
        if told := attributes.get(key):
            return system, told.rstrip(before).rpartition(before)[2][:_CUT]
    return "", ""


def _external(attributes: dict[str, str], caller: str) -> Identity | None:
    address, remote = _address(attributes), _first(attributes, _REMOTE)[:_CUT]
    if remote and remote == attributes.get("faas.invoked_name"):
        address = ""  # all functions are called at one address
    if not address and not remote:
        return None
    return Identity(
        kind=NodeKind.EXTERNAL,
        name=remote,
        namespace=attributes.get("service.peer.namespace", "")[:_CUT],
        address=address,
        alias=remote,
        scope=_scope(address, caller) if address else "",
    )


def _queue(attributes: dict[str, str], kind: SpanKind, caller: str) -> Peer:
    cloud, topic = _cloud_queue(attributes)
    system = engine_name(attributes.get("messaging.system", "")) or cloud
    address = _address(attributes)
    destination = _first(attributes, _DESTINATIONS)[:_CUT] or topic
    if any(attributes.get(key) == "true" for key in _UNNAMED):
        destination = f"(temporary) {address}".rstrip()  # one node for each broker
    identity = Identity(
        kind=NodeKind.QUEUE,
        engine=system[:_CUT],
        address=address,
        destination=destination,
        scope="" if destination else _scope(address, caller),
    )
    known = bool(destination) or kind is not SpanKind.CONSUMER
    told = attributes.get(_MESSAGES, "")
    messages = min(int(told), MOST_MESSAGES) if told.isascii() and told.isdecimal() and len(told) <= 5 else 0
    guessed = bool(cloud) and not _first(attributes, _OPERATIONS)
    return Peer(identity if known else None, "messaging", _role(attributes, kind), messages, guessed)


def _role(attributes: dict[str, str], kind: SpanKind) -> Role:
    told = _first(attributes, _OPERATIONS).lower()
    roles = {"send": Role.SEND, "receive": Role.RECEIVE, "process": Role.PROCESS, "create": Role.CREATE}
    operation = _OLD_OPERATIONS.get(told, told) or _CLOUD_OPERATIONS.get(attributes.get("rpc.method", ""), "")
    if operation == "settle":
        return Role.IGNORED
    return roles.get(operation, Role.PROCESS if kind is SpanKind.CONSUMER else Role.SEND)


def _address(attributes: dict[str, str]) -> str:
    for host_key, port_key in _HOSTS:
        if host := attributes.get(host_key):
            return join_address(host[:_CUT].lower(), attributes.get(port_key, "")[:5])
    for key in (*_URLS, "http.host"):
        if host := _netloc(attributes.get(key, "")):
            return host
    return ""


def _netloc(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return join_address((parts.hostname or "")[:_CUT], str(port or "")) if parts.hostname else ""


def _scope(address: str, caller: str) -> str:
    """Nameless and loopback peers belong to the one caller that sees them."""
    local = (
        not address or address.startswith("/") or is_loopback(split_address(address)[0])
    )  # "/": a socket's file
    return caller if local else ""
