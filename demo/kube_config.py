"""The kubeconfig of the demo cluster. It holds a token, so only its owner may read it."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml


def write(path: Path, url: str, token: str, *, ca: bytes | None = None, namespace: str = "shop") -> None:
    """Write a kubeconfig with mode 0600; `ca` is the certificate (PEM) that an https address is trusted by.

    kubectl sends a bearer token only over https (client-go: clientcmd/client_config.go), so give it that one.
    """
    cluster: dict[str, str] = {"server": url}
    if ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "demo", "cluster": cluster}],
        "users": [{"name": "demo", "user": {"token": token}}],
        "contexts": [
            {"name": "demo", "context": {"cluster": "demo", "user": "demo", "namespace": namespace}}
        ],
        "current-context": "demo",
    }
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    beside.replace(path)
