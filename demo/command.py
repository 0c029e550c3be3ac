"""`quarterdeck demo`: the simulated fleet, a real Prometheus, and serve on top of both.

The fleet runs as a child process (`python -m demo`), Prometheus as another; both end with this one. What a
person or a test needs is written into the state directory: credentials, targets, a kubeconfig.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from app import clock, processes
from app.config import Cluster, Config, KubeAccess, Kubernetes, Prometheus, load
from app.errors import QuarterdeckError
from app.store import tokens, users
from app.store.engine import Store
from app.web.passwords import hash_password
from demo import history

CLUSTER = "demo"
USER = "demo"
BIG_FLEET = 100


class DemoFailed(QuarterdeckError):
    """A part of the demo could not start; the message says which and why."""


def run(options: argparse.Namespace) -> int:
    """Start everything, serve until a signal, end everything."""
    state = (options.state_dir or Path("demo-data")).resolve()
    state.mkdir(parents=True, exist_ok=True)
    children: list[subprocess.Popen[bytes]] = []
    try:
        targets = _start_fleet(options, state, children)
        targets["prometheus"] = _start_prometheus(options, state, targets, children)
        _write(state / "demo-targets.json", targets)
        config = _config(options, state, targets)
        return processes.serve(
            config, ready=lambda address, process: _announce(address, process.store, state, targets)
        )
    finally:
        for child in reversed(children):
            child.terminate()
        for child in reversed(children):
            _reap(child)


def _reap(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(8.0)
    except subprocess.TimeoutExpired:
        child.kill()


def _start_fleet(
    options: argparse.Namespace, state: Path, children: list[subprocess.Popen[bytes]]
) -> dict[str, str]:
    """The simulator; answers its addresses once it listens."""
    command = [sys.executable, "-m", "demo", "--state-dir", str(state), "--seed", str(options.seed)]
    command += ["--speed", str(options.speed), "--otlp", f"http://127.0.0.1:{options.port}/v1/traces"]
    command += ["--services", str(options.services)] if options.services else []
    command += ["--scenario", options.scenario] if options.scenario else []
    log = (state / "fleet.log").open("wb")
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parent.parent)
    children.append(child)
    assert child.stdout is not None
    line = child.stdout.readline().decode()
    if not line.startswith("Fleet listening"):
        child.wait(5.0)
        raise DemoFailed(f"the simulated fleet did not start: {_tail(state / 'fleet.log')}")
    found: dict[str, str] = json.loads((state / "demo-targets.json").read_text())
    return found


def _start_prometheus(
    options: argparse.Namespace,
    state: Path,
    targets: dict[str, str],
    children: list[subprocess.Popen[bytes]],
) -> str:
    """A real Prometheus that scrapes the fleet; its history is written before its first start."""
    program = shutil.which("prometheus")
    if program is None:
        raise DemoFailed("prometheus is not installed: sudo apt-get install prometheus")
    data = state / "prometheus"
    history.prepare(data, seed=options.seed, services=options.services or None, now=clock.now())
    config = state / "prometheus.yml"
    config.write_text(history.prometheus_config(targets["sd"], services=options.services or None))
    port = _remembered_port(state / "prometheus.port")
    log = (state / "prometheus.log").open("wb")
    children.append(
        subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--storage.tsdb.retention.time=3d",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
    )
    return f"http://127.0.0.1:{port}"


def _config(options: argparse.Namespace, state: Path, targets: dict[str, str]) -> Config:
    """The configuration that a user with this fleet would write."""
    overrides = {"server.listen": f"127.0.0.1:{options.port}"}
    base = load(options.config, state_dir=state, overrides=overrides)
    big = options.services > BIG_FLEET
    prometheus = Prometheus(
        url=targets["prometheus"],
        interval=timedelta(seconds=15 if big else 5),
        rate_window=timedelta(minutes=2 if big else 1),
    )
    kubeconfig = state / "demo-kubeconfig.yaml"
    kubernetes = Kubernetes(kubeconfig=kubeconfig, act=KubeAccess(kubeconfig=kubeconfig))
    cluster = Cluster(name=CLUSTER, prometheus=prometheus, kubernetes=kubernetes)
    values = {name: getattr(base, name) for name in ("server", "store", "broker", "identity", "otlp", "auth")}
    return Config(**values, clusters=(cluster,), state_dir=state, secret_key=base.secret_key)


def _announce(address: str, store: Store, state: Path, targets: dict[str, str]) -> None:
    """Make or keep the demo's user and token, write them down, and say where to go."""
    file = state / "demo-credentials.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    password = known.get("password") or secrets.token_urlsafe(12)
    with store.begin() as session:
        if users.add(session, USER, "admin", hash_password(password)) or "token" not in known:
            ends = clock.now() + timedelta(days=365)
            known["token"], _ = tokens.create(
                session, name=USER, owner=USER, scopes=["responder"], expires_at=ends
            )
    credentials = {"url": address, "username": USER, "password": password, "token": known["token"]}
    _write(file, credentials)
    print(f"\n  Open      {address}\n  User      {USER}\n  Password  {password}\n")
    print(f"  Prometheus  {targets['prometheus']}\n  Kubernetes  {targets['kubernetes']}")
    print(f"  kubectl     --kubeconfig {state / 'demo-kubeconfig.yaml'}\n", flush=True)


def _write(file: Path, content: dict[str, str]) -> None:
    draft = file.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(file)


def _remembered_port(file: Path) -> int:
    """A free port, the same one on every start while it is free."""
    if file.exists():
        port = int(file.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    file.write_text(str(port))
    return port


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-400:].strip() if file.exists() else os.strerror(2)
