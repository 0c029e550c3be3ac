"""Where the simulator can be reached: ports and tokens that outlive a restart, and the files that tell of them."""

from __future__ import annotations

import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

from demo import kube_config

USERS = ("admin", "operator", "viewer")
_PORTS, _TOKENS = "demo-ports.json", "demo-tokens.json"
TARGETS, KUBECONFIG = "demo-targets.json", "demo-kubeconfig.yaml"


def ports(state: Path, *, host: str, base: int | None = None) -> dict[str, int]:
    """Ports of the exporters and the Kubernetes API: given, those of the last start while free, or new ones."""
    if base is not None:
        return {"fleet": base, "kubernetes": base + 1}
    known = _read(state / _PORTS)
    found = {name: _free(host, known.get(name, 0)) for name in ("fleet", "kubernetes")}
    _private(state / _PORTS, found)
    return found


def tokens(state: Path) -> dict[str, str]:
    """Bearer token of each user of the Kubernetes API, made once."""
    found = _read(state / _TOKENS)
    if set(found) != set(USERS):
        found = {user: secrets.token_urlsafe(32) for user in USERS}
        _private(state / _TOKENS, found)
    return found


def write(state: Path, host: str, ports: dict[str, int], token: str, ca: bytes) -> None:
    """Write `demo-targets.json` (Prometheus is added by who starts it) and `demo-kubeconfig.yaml`, both 0600."""
    fleet, kubernetes = f"http://{host}:{ports['fleet']}", f"https://{host}:{ports['kubernetes']}"
    told = {"prometheus": None, "kubernetes": kubernetes, "control": fleet, "sd": f"{fleet}/sd"}
    _private(state / TARGETS, told)
    kube_config.write(state / KUBECONFIG, kubernetes, token, ca=ca)


def _free(host: str, wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


def _read(file: Path) -> dict[str, Any]:
    """What was written, or nothing when it is missing or spoilt."""
    try:
        said = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _private(file: Path, content: dict[str, Any]) -> None:
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(json.dumps(content, indent=2) + "\n")
    draft.replace(file)
