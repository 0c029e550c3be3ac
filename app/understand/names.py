"""Foreign names made fit to be ids, and what engines and ports are called.

An id is a key in stores, URLs and the browser: no control characters, no `>` (it joins edge ids), no `:`
inside a part, at most MAX_PART characters. Whatever had to be changed gets a hash suffix, so that two
different names never become one id.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from hashlib import blake2s

from app.model.fleet import NodeKind

MAX_PART = 120
MAX_DISPLAY = 512
_PLAIN = re.compile(r"[A-Za-z0-9._/@\[\]-]{0,120}", re.ASCII)
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Values of db.system before semantic conventions 1.30, and everyday spellings (reference: topology 5).
_ENGINES = {
    "postgres": "postgresql",
    "pgsql": "postgresql",
    "mongo": "mongodb",
    "mssql": "microsoft.sql_server",
    "oracle": "oracle.db",
    "db2": "ibm.db2",
    "dynamodb": "aws.dynamodb",
    "redshift": "aws.redshift",
    "hanadb": "sap.hana",
    "spanner": "gcp.spanner",
    "cosmosdb": "azure.cosmosdb",
    "informix": "ibm.informix",
    "netezza": "ibm.netezza",
    "adabas": "softwareag.adabas",
    "maxdb": "sap.maxdb",
    "firebird": "firebirdsql",
    "ingres": "actian.ingres",
    "h2": "h2database",
    "cache": "intersystems.cache",
    "intersystems_cache": "intersystems.cache",
}
_CACHES = frozenset({"redis", "memcached", "valkey", "keydb", "dragonfly", "hazelcast", "ehcache"})
_BROKERS = frozenset(
    {
        "activemq",
        "artemis",
        "aws.sns",
        "aws_sns",
        "aws_sqs",
        "eventgrid",
        "eventhubs",
        "gcp_pubsub",
        "jms",
        "kafka",
        "nats",
        "pulsar",
        "rabbitmq",
        "rocketmq",
        "servicebus",
        "amqp",
        "mqtt",
        "messaging",
    }
)
_PORTS = {
    5432: "postgresql",
    3306: "mysql",
    6379: "redis",
    27017: "mongodb",
    27018: "mongodb",
    9092: "kafka",
    9093: "kafka",
    9094: "kafka",
    9042: "cassandra",
    11211: "memcached",
    2181: "zookeeper",
    9200: "elasticsearch",
    9300: "elasticsearch",
    5672: "rabbitmq",
    1433: "microsoft.sql_server",
}
_DEFAULT_PORT = {
    engine: port for port, engine in reversed(_PORTS.items()) if port not in (9093, 9094, 9300, 27018)
}


def id_part(text: str) -> str:
    """`text` as one part of an id; a text that had to be changed ends in `~` and eight hex digits."""
    if _PLAIN.fullmatch(text):
        return text
    clean = "".join(
        "_" if char in ">:" or unicodedata.category(char) in _FORBIDDEN else char for char in text.strip()
    )
    if clean.startswith("~"):
        clean = "_" + clean[1:]
    if clean == text and len(clean) <= MAX_PART:
        return clean
    return _marked(clean, text)


def path_part(text: str) -> str:
    """The same where it must also be one segment of a URL's path: no slash, no dot segment."""
    part = id_part(text)
    if "/" not in part and part not in (".", ".."):
        return part
    marked = _marked("", text)
    return _marked(part.removesuffix(marked).replace("/", "_").replace(".", "_"), text)


def _marked(clean: str, text: str) -> str:
    digest = blake2s(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{clean[: MAX_PART - 9]}~{digest}"


def label_part(text: str) -> str:
    """The same for the label of an inferred node, which may hold `:` (host:port)."""
    return ":".join(id_part(part) if part else "" for part in text.split(":", 3))


def display(text: str) -> str:
    """A name as people see it: printable, cut at MAX_DISPLAY; escaping is the page's duty.

    Control characters and those that turn the direction of writing could falsify the text around a name.
    """
    valid = "".join(char if char.isprintable() else "\ufffd" for char in text[: MAX_DISPLAY + 1])
    return valid if len(valid) <= MAX_DISPLAY else valid[: MAX_DISPLAY - 1] + "…"


def engine_name(engine: str) -> str:
    """The current semantic-convention value of an engine's name."""
    lowered = engine.strip().lower()
    return _ENGINES.get(lowered, lowered)


def engine_kind(engine: str) -> NodeKind:
    """Cache, queue or (whatever else stores data) database."""
    if engine in _CACHES:
        return NodeKind.CACHE
    return NodeKind.QUEUE if engine in _BROKERS else NodeKind.DATABASE


def engine_of_port(port: str) -> str:
    """The engine that usually listens there, or an empty string."""
    return _PORTS.get(int(port), "") if port.isdecimal() and len(port) <= 5 else ""


def default_port(engine: str) -> str:
    """The port an engine usually listens on, or an empty string."""
    return str(_DEFAULT_PORT.get(engine, ""))


def split_address(address: str) -> tuple[str, str]:
    """(host, port) of `host`, `host:port`, `[v6]:port` or a bare IPv6 address; host in lower case."""
    text = address.strip().lower()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return host.rstrip("."), port


def join_address(host: str, port: str) -> str:
    """The inverse of split_address."""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port else shown


def is_ip(host: str) -> bool:
    """Whether the host is a literal address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether the host means "this very machine" and says nothing to anybody else."""
    if not host[:1].isdigit() and ":" not in host:
        return host == "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def protocol_family(protocol: str, target: NodeKind, engine: str) -> str:
    """One name for what several sources call differently; an empty string = nobody said.

    Calls to a database carry the engine's name whatever the source calls them (tcp, db, sql);
    calls to and from queues are `messaging`.
    """
    lowered = protocol.strip().lower()
    if target is NodeKind.QUEUE or engine_name(lowered) in _BROKERS:
        return "messaging"
    if target in (NodeKind.DATABASE, NodeKind.CACHE) and engine:
        return id_part(engine)
    if lowered in ("", "unknown", "virtual_node"):
        return ""
    if lowered in ("https", "http/1.1", "http2", "http/2"):
        return "http"
    return id_part(engine_name(lowered))
