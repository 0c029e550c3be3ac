"""The configuration: one declaration per setting; file, environment and secret files; all errors at once."""

from app.config.duration import format_duration, parse_duration
from app.config.load import load
from app.config.schema import schema
from app.config.settings import (
    Auth,
    Broker,
    Cluster,
    Config,
    HealthLimits,
    HealthRule,
    Identity,
    IdentityRule,
    KubeAccess,
    Kubernetes,
    Mesh,
    Otlp,
    Prometheus,
    Retention,
    Secret,
    Server,
    Store,
    Tls,
    TraceBackend,
)

__all__ = [
    "Auth",
    "Broker",
    "Cluster",
    "Config",
    "HealthLimits",
    "HealthRule",
    "Identity",
    "IdentityRule",
    "KubeAccess",
    "Kubernetes",
    "Mesh",
    "Otlp",
    "Prometheus",
    "Retention",
    "Secret",
    "Server",
    "Store",
    "Tls",
    "TraceBackend",
    "format_duration",
    "load",
    "parse_duration",
    "schema",
]
