"""Every setting, declared once: its name and type are the field, its default and sentence stand beside it.

`load` reads these declarations, `schema` publishes them, and the documentation test compares them with
docs/configuration.md. A field of type Secret may be given inline or, better, as `<name>_file`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Literal


class Secret:
    """A value that never shows itself: repr and str are masked, `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


PARTY_FIELDS = ("name", "namespace", "workload", "pod", "address", "engine")
HEALTH_FIELDS = ("cluster", "namespace", "name", "kind", "caller")
REQUIRED: Any = dataclasses.MISSING


def setting(default: Any, sentence: str, *, check: Callable[[Any], str | None] | None = None) -> Any:
    """A field with its sentence and, if given, a check that answers what is wrong with a value (or None)."""
    metadata = {"sentence": sentence, "check": check}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata, kw_only=True)
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata, kw_only=True)
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


def _listen(value: str) -> str | None:
    host, colon, port = value.rpartition(":")
    if colon and host and port.isdigit() and 0 <= int(port) <= 65535:
        return None
    return f"{value!r} is not HOST:PORT, such as 127.0.0.1:8080"


def _http_url(value: str) -> str | None:
    if value.startswith(("http://", "https://")) and len(value.split("/", 3)[2]) > 0:
        return None
    return f"{value!r} is not an http:// or https:// address"


def _store_url(value: str) -> str | None:
    if value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        return None
    return f"{value!r} is no store: use sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def _broker_url(value: str) -> str | None:
    if value.startswith(("memory://", "redis://", "rediss://")):
        return None
    return f"{value!r} is no broker: use memory:// (one process) or redis://HOST:PORT/0"


def _name(value: str) -> str | None:
    if (
        value
        and len(value) <= 63
        and all(c.isalnum() or c in "-_." for c in value)
        and not value.startswith("~")
    ):
        return None
    return f"{value!r} is no name: letters, digits, dash, dot and underscore, at most 63"


def _patterns(value: dict[str, str]) -> str | None:
    return _wrong_patterns(value, PARTY_FIELDS, "a party")


def _health_patterns(value: dict[str, str]) -> str | None:
    return _wrong_patterns(value, HEALTH_FIELDS, "what health is judged of")


def _wrong_patterns(value: dict[str, str], fields: tuple[str, ...], what: str) -> str | None:
    for name, pattern in value.items():
        if name not in fields:
            return f"{name!r} is no field of {what}: there are {', '.join(fields)}"
        try:
            re.compile(pattern)
        except re.error as error:
            return f"{pattern!r} is no regular expression: {error}"
    return None if value else "must name at least one field"


def _host_pattern(value: str) -> str | None:
    try:
        nested = _nests_repeats(_parser.parse(value).data)
    except re.error as error:
        return f"{value!r} is no regular expression: {error}"
    if nested:
        return f"{value!r} repeats a repetition, which may take for ever on a long name: (.+) does"
    return None


def _nests_repeats(parts: Any, *, inside: bool = False) -> bool:
    """Whether an unbounded repetition stands inside another one, in a parsed pattern."""
    for operation, argument in parts:
        endless = str(operation).endswith("_REPEAT") and argument[1] == _parser.MAXREPEAT
        if endless and inside:
            return True
        if any(_nests_repeats(one.data, inside=inside or endless) for one in _subpatterns(argument)):
            return True
    return False


def _subpatterns(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for one in argument:
            yield from _subpatterns(one)


def _not_empty(value: str) -> str | None:
    return None if value else "must not be empty"


def _source(value: str) -> str | None:
    if value in ("prometheus", "kubernetes", "traces"):
        return f"{value!r} is the name of another source of the cluster"
    return _name(value)


def _link(value: str) -> str | None:
    if "{trace_id}" not in value:
        return f"{value!r} does not contain {{trace_id}}"
    return _http_url(value)


def _positive(value: Any) -> str | None:
    zero = timedelta(0) if isinstance(value, timedelta) else 0
    return None if value > zero else "must be more than zero"


def _share(value: float) -> str | None:
    return None if 0 < value <= 1 else "must be more than 0 and at most 1 (or 100%)"


def _more_than_one(value: float) -> str | None:
    return None if value > 1 else "must be more than 1: it says how many times slower than usual"


def _not_negative(value: int) -> str | None:
    return None if value >= 0 else "must not be negative"


@dataclass(frozen=True, slots=True)
class Server:
    """The web server."""

    listen: str = setting(
        "127.0.0.1:8080", "Address and port to listen on; loopback by default.", check=_listen
    )
    external_url: str | None = setting(
        None, "Address under which browsers reach it; links and the Origin check use it.", check=_http_url
    )
    trusted_proxies: int = setting(
        0, "How many reverse proxies stand in front and set X-Forwarded-For.", check=_not_negative
    )
    secret_key: Secret | None = setting(
        None,
        "Key for signatures and the audit chain, 32 characters or more; made in the state directory if absent.",
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each resolution of fleet history is kept."""

    minute: timedelta = setting(timedelta(hours=48), "One-minute history.", check=_positive)
    ten_minutes: timedelta = setting(timedelta(days=14), "Ten-minute history.", check=_positive)
    hour: timedelta = setting(timedelta(days=400), "One-hour history.", check=_positive)
    traces: timedelta = setting(timedelta(hours=48), "Example traces.", check=_positive)


@dataclass(frozen=True, slots=True)
class Store:
    """The database."""

    url: str = setting(
        "sqlite:///quarterdeck.db",
        "SQLite file (relative to the state directory) or PostgreSQL.",
        check=_store_url,
    )
    retention: Retention = setting(Retention, "How long history is kept.")


@dataclass(frozen=True, slots=True)
class Broker:
    """The queue between the processes."""

    url: str = setting(
        "memory://", "memory:// inside one process, redis://… between several.", check=_broker_url
    )


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards a source; certificates are always verified."""

    ca_file: Path | None = setting(None, "Certificates to trust instead of the system's.")
    cert_file: Path | None = setting(None, "Client certificate.")
    key_file: Path | None = setting(None, "Key of the client certificate.")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus, or any engine with its query API."""

    url: str = setting(REQUIRED, "Base address, without /api/v1.", check=_http_url)
    bearer_token: Secret | None = setting(None, "Bearer token.")
    username: str | None = setting(None, "User name for basic authentication.")
    password: Secret | None = setting(None, "Password for basic authentication.")
    tls: Tls = setting(Tls, "TLS towards it.")
    query_timeout: timedelta = setting(timedelta(seconds=10), "Longest wait for one query.", check=_positive)
    interval: timedelta = setting(timedelta(seconds=15), "Time between two looks.", check=_positive)
    rate_window: timedelta = setting(
        timedelta(minutes=1), "Window of rates; widened to four scrape intervals by itself.", check=_positive
    )
    accept_encoding: Literal["identity", "gzip"] = setting(
        "identity", "gzip saves bytes on a WAN and costs CPU on both sides."
    )


@dataclass(frozen=True, slots=True)
class TraceBackend:
    """A trace store whose traces are pulled: Jaeger's query API or Grafana Tempo."""

    kind: Literal["jaeger", "tempo"] = setting(
        REQUIRED, "jaeger: Jaeger's query API, also as VictoriaTraces serves it; tempo: Grafana Tempo."
    )
    url: str = setting(
        REQUIRED, "Base address; for VictoriaTraces with /select/jaeger behind it.", check=_http_url
    )
    name: str | None = setting(None, "Name of the source; its kind if absent.", check=_source)
    bearer_token: Secret | None = setting(None, "Bearer token.")
    username: str | None = setting(None, "User name for basic authentication.")
    password: Secret | None = setting(None, "Password for basic authentication.")
    tenant: str | None = setting(None, "Tenant, sent as X-Scope-OrgID.")
    tls: Tls = setting(Tls, "TLS towards it.")
    query_timeout: timedelta = setting(timedelta(seconds=10), "Longest wait for one query.", check=_positive)
    interval: timedelta = setting(timedelta(seconds=15), "Time between two looks.", check=_positive)
    look_back: timedelta = setting(
        timedelta(minutes=2), "How old a trace may be to be read at all.", check=_positive
    )
    max_traces: int = setting(
        2000, "Most traces read in one look; of more, an equal share stands for all.", check=_positive
    )
    link: str | None = setting(
        None, "Page of a trace in the backend's own UI; {trace_id} is replaced.", check=_link
    )

    @property
    def called(self) -> str:
        """The name of the source."""
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """Credentials for plans and writes; loaded only by serve and the worker of the act queue."""

    in_cluster: bool = setting(False, "Use the pod's own service account.")
    kubeconfig: Path | None = setting(None, "A kubeconfig file.")
    context: str | None = setting(None, "Context in it; its current one if absent.")


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """A Kubernetes API, read only; `act` holds the credentials that may write."""

    in_cluster: bool = setting(False, "Use the pod's own service account.")
    kubeconfig: Path | None = setting(None, "A kubeconfig file.")
    context: str | None = setting(None, "Context in it; its current one if absent.")
    namespaces: tuple[str, ...] = setting((), "Watch only these namespaces; all if empty.")
    act: KubeAccess | None = setting(
        None, "Credentials for plans and writes; without them nothing can be changed."
    )


@dataclass(frozen=True, slots=True)
class Mesh:
    """The service mesh whose metrics lie in the cluster's Prometheus."""

    kind: Literal["auto", "istio", "linkerd", "none"] = setting(
        "auto", "Whose metrics are read: istio, linkerd, none, or auto for whichever is there."
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Kubernetes cluster with its Prometheus."""

    name: str = setting(REQUIRED, "Name, part of every id; never change it.", check=_name)
    prometheus: Prometheus | None = setting(None, "Its Prometheus.")
    mesh: Mesh = setting(Mesh, "Its service mesh.")
    kubernetes: Kubernetes | None = setting(None, "Its Kubernetes API.")
    traces: tuple[TraceBackend, ...] = setting((), "Trace stores whose traces are pulled.")


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """Parties whose fields match all patterns are this service."""

    match: dict[str, str] = setting(
        REQUIRED,
        "Field of the party (name, namespace, workload, pod, address, engine) to a full regular expression.",
        check=_patterns,
    )
    service: str = setting(REQUIRED, "Name of the service; $1 is the first group of the pattern on name.")
    namespace: str | None = setting(None, "Its namespace; as seen if absent.")


@dataclass(frozen=True, slots=True)
class HostRule:
    """Hosts and stores outside the fleet whose host name fits the pattern are one node."""

    match: str = setting(REQUIRED, "Full regular expression for the host, without port.", check=_host_pattern)
    name: str = setting(REQUIRED, "Name of the node; $1 is the first group of the pattern.", check=_not_empty)


@dataclass(frozen=True, slots=True)
class Identity:
    """How the names of several sources become one service."""

    rules: tuple[IdentityRule, ...] = setting((), "Own rules, tried first, in order.")
    externals: tuple[HostRule, ...] = setting((), "Groups of hosts outside the fleet, tried in order.")

    @property
    def all(self) -> tuple[IdentityRule | HostRule, ...]:
        """Rules and groups together."""
        return (*self.rules, *self.externals)


@dataclass(frozen=True, slots=True)
class HealthRule:
    """Own limits for the services, nodes and connections that fit all patterns; what is absent stays as it is."""

    match: dict[str, str] = setting(
        REQUIRED,
        "Field (cluster, namespace, name, kind, caller) to a full regular expression. Connections fit by the name of "
        "who is called; a rule with caller is about connections only.",
        check=_health_patterns,
    )
    min_requests: int | None = setting(
        None, "Fewer requests than this are not judged; 20 if absent, 30 for sampled traces.", check=_positive
    )
    errors_degraded: float | None = setting(
        None, "Share of failed requests, such as 1%, that is surely exceeded; 1% if absent.", check=_share
    )
    errors_failing: float | None = setting(None, "The same for failing; 10% if absent.", check=_share)
    latency_degraded: timedelta | None = setting(
        None, "p95 that is too slow, whatever is usual; without it the usual is the measure.", check=_positive
    )
    latency_failing: timedelta | None = setting(None, "The same for failing.", check=_positive)
    latency_ratio_degraded: float | None = setting(
        None, "p95 of so many times the usual is too slow; 1.5 if absent.", check=_more_than_one
    )
    latency_ratio_failing: float | None = setting(
        None, "The same for failing; 3 if absent.", check=_more_than_one
    )
    volume_drop: float | None = setting(
        None, "Fewer requests than this share of the usual are a fault; 30% if absent.", check=_share
    )
    judge: tuple[Literal["errors", "latency", "volume"], ...] | None = setting(
        None, "Which of the three are judged; all if absent, [] for pods alone."
    )


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """When a service or connection is degraded or failing."""

    rules: tuple[HealthRule, ...] = setting(
        (), "Own limits; for each limit the first rule that fits and gives it counts."
    )


@dataclass(frozen=True, slots=True)
class Otlp:
    """Traces pushed to /v1/traces."""

    listen: str | None = setting(
        None, "A second address for OTLP/HTTP; serve tries 127.0.0.1:4318 if absent.", check=_listen
    )
    max_body_bytes: int = setting(16 * 1024 * 1024, "Largest body, after decompression.", check=_positive)
    max_spans: int = setting(1_000_000, "Most spans kept while they wait to be joined.", check=_positive)
    sampling_attribute: str | None = setting(
        None, "Span attribute that holds the sampling ratio, where tracestate does not."
    )


@dataclass(frozen=True, slots=True)
class Auth:
    """Who gets in."""

    local: bool = setting(True, "Users with passwords kept in the store.")
    anonymous: Literal["none", "viewer"] = setting("none", "What a visitor without a session may do.")
    open: tuple[Literal["otlp"], ...] = setting((), "Interfaces that need no token even off loopback.")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `state_dir` and `secret_key` are settled by `load`, not read from the file."""

    server: Server = setting(Server, "The web server.")
    store: Store = setting(Store, "The database.")
    broker: Broker = setting(Broker, "The queue between the processes.")
    clusters: tuple[Cluster, ...] = setting((), "The clusters that are watched.")
    identity: Identity = setting(Identity, "How names become services.")
    health: HealthLimits = setting(HealthLimits, "When something is degraded or failing.")
    otlp: Otlp = setting(Otlp, "Traces pushed to us.")
    auth: Auth = setting(Auth, "Who gets in.")
    state_dir: Path = dataclasses.field(default=Path("quarterdeck-data"), kw_only=True)
    secret_key: Secret = dataclasses.field(default=Secret(""), kw_only=True)


SETTLED = frozenset({"state_dir", "secret_key"})
"""Fields of Config that are not settings of the file."""
