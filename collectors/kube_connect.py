"""The connection to a Kubernetes API server: the official client gives address, credentials and TLS.

Both ways use it: reading (`kube_api`) and writing (`kube_write`), each with its own account.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.util.retry import Retry

from app.config import KubeAccess, Kubernetes
from app.errors import SourceUnavailable

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Connection:
    """The official client with the address it speaks to and the namespace its credentials belong to."""

    api: Any
    host: str
    namespace: str


def connect(access: Kubernetes | KubeAccess, agent: str) -> Connection:
    """The official client, configured as asked. Raises SourceUnavailable when that cannot be done."""
    from kubernetes import client, config  # late: it is heavy, and most processes never need it

    loader: Any = config  # its functions are untyped
    configuration = client.Configuration()
    namespace = ""
    try:
        if access.in_cluster:
            loader.load_incluster_config(client_configuration=configuration)
            namespace = _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else ""
        else:
            file = str(access.kubeconfig) if access.kubeconfig else None
            loader.load_kube_config(
                config_file=file,
                context=access.context,
                client_configuration=configuration,
                persist_config=False,
            )
            namespace = _context_namespace(loader, file, access.context)
    except Exception as error:  # the loader raises whatever its YAML and its plugins raise
        where = (
            "the pod's service account"
            if access.in_cluster
            else (access.kubeconfig or "the default kubeconfig")
        )
        raise SourceUnavailable(f"Kubernetes: {where} cannot be used: {short_reason(error)}") from error
    configuration.retries = Retry(
        total=1, connect=1, read=False, redirect=False, status=0, raise_on_status=False
    )
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = 64
    made = client.ApiClient(configuration)
    made.user_agent = agent
    return Connection(made, configuration.host, namespace)


def _context_namespace(config: Any, file: str | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(config_file=file)
    chosen = next((one for one in contexts if one["name"] == context), active) if context else active
    return str((chosen or {}).get("context", {}).get("namespace") or "")


def short_reason(error: BaseException) -> str:
    """The innermost reason, in a few printable words."""
    inner = error
    while isinstance(deeper := getattr(inner, "reason", None) or inner.__cause__, BaseException):
        inner = deeper
    text = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return printable(text or type(inner).__name__)[:200]


def printable(text: str) -> str:
    """Foreign text without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)
