"""`quarterdeck demo`: the simulated fleet, a real Prometheus, and serve on top of both.

The fleet runs as a child process (`python -m demo`), Prometheus as another; both end with this one. What a
person or a test needs is written into the state directory: credentials, targets, a kubeconfig.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from app import clock, processes
from app.config import Cluster, Config, KubeAccess, Kubernetes, Prometheus, load
from app.errors import ConfigError, QuarterdeckError
from app.store import tokens, users
from app.store.engine import Store
from app.web.passwords import hash_password
from demo import evidence, generate, history
from demo.evidence import Evidence
from demo.scenario import KINDS

CLUSTER = "demo"
USER = "demo"
BIG_FLEET = 100
ONSET_SECONDS = 60
SLOWEST, FASTEST = 0.1, 60.0


class DemoFailed(QuarterdeckError):
    """A part of the demo could not start; the message says which and why."""


def run(options: argparse.Namespace) -> int:
    """Start everything, serve until a signal, end everything."""
    if wrong := _wrong(options):
        print(f"quarterdeck demo: {wrong}", file=sys.stderr)
        return 2
    state = (options.state_dir or Path("demo-data")).resolve()
    state.mkdir(parents=True, exist_ok=True)
    options.port = _free_port(options.port)
    children: list[subprocess.Popen[bytes]] = []
    try:
        targets = start_fleet(options, state, children)
        targets["prometheus"] = start_prometheus(options, state, targets, children)
        write(state / "demo-targets.json", targets)
        moments = processes.Moments(
            before=lambda address, store: _write_credentials(address, store, state),
            after=lambda: _announce(state, targets, options.scenario),
        )
        return processes.serve(_config(options, state, targets), moments=moments)
    finally:
        end(children)


def _wrong(options: argparse.Namespace) -> str:
    """A sentence about an option that cannot be used, or nothing."""
    if options.scenario is not None and options.scenario not in KINDS:
        return f"there is no scenario {options.scenario!r}; there are {', '.join(sorted(KINDS))}"
    if not 0 <= options.services <= generate.MAX_LIVE:
        return f"--services: at most {generate.MAX_LIVE:,} run live"
    try:
        evidence.parse(options.evidence)
    except ValueError as wrong:
        return str(wrong)
    if not SLOWEST <= options.speed <= FASTEST:
        return f"--speed: between {SLOWEST:g} and {FASTEST:g}"
    return ""


def _free_port(port: int) -> int:
    """The port, if it can be had (0: any). Raises DemoFailed before anything is started."""
    try:
        with processes.bind(f"127.0.0.1:{port}", "--port") as probe:
            return int(probe.getsockname()[1])
    except (ConfigError, OverflowError):
        raise DemoFailed(f"port {port} cannot be had: choose another one with --port") from None


def child(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
    """A child that ends with this process, however that ends, and that Ctrl-C does not reach by itself."""
    return subprocess.Popen(command, process_group=0, preexec_fn=_end_with_parent, **more)


def _end_with_parent() -> None:
    """Runs in the child: SIGTERM when the parent is gone (prctl(2), PR_SET_PDEATHSIG; Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, the newest first, and wait until they have."""
    for one in reversed(children):
        one.terminate()
    for one in reversed(children):
        try:
            one.wait(8.0)
        except subprocess.TimeoutExpired:
            one.kill()


def start_fleet(
    options: argparse.Namespace, state: Path, children: list[subprocess.Popen[bytes]]
) -> dict[str, str]:
    """The simulator; answers its addresses once it listens."""
    command = [sys.executable, "-m", "demo", "--state-dir", str(state), "--seed", str(options.seed)]
    command += ["--evidence", options.evidence]
    command += ["--speed", str(options.speed), "--otlp", f"http://127.0.0.1:{options.port}/v1/traces"]
    command += ["--services", str(options.services)] if options.services else []
    with (state / "fleet.log").open("wb") as log:
        fleet = child(command, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parent.parent)
    children.append(fleet)
    assert fleet.stdout is not None
    line = fleet.stdout.readline().decode()
    if not line.startswith("Fleet listening"):
        fleet.wait(5.0)
        raise DemoFailed(f"the simulated fleet did not start: {_tail(state / 'fleet.log')}")
    found: dict[str, str] = json.loads((state / "demo-targets.json").read_text())
    return found


def start_prometheus(
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
    _forget_another_past(options, state, data)
    calls = Evidence.CLIENT_METRICS in evidence.parse(options.evidence)
    history.prepare(data, seed=options.seed, services=options.services or None, now=clock.now(), calls=calls)
    config = state / "prometheus.yml"
    config.write_text(history.prometheus_config(targets["sd"], services=options.services or None))
    port = remembered_port(state / "prometheus.port")
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={data}", "--log.level=warn"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=3d"]
    with (state / "prometheus.log").open("wb") as log:
        children.append(child(command, stdout=log, stderr=log))
    return f"http://127.0.0.1:{port}"


def _forget_another_past(options: argparse.Namespace, state: Path, data: Path) -> None:
    """What Prometheus knows of a fleet of another size or seed would pass for this one's: begin anew."""
    file = state / "demo-fleet.json"
    fleet = {"seed": options.seed, "services": options.services}
    fleet["evidence"] = sorted(evidence.parse(options.evidence))
    known = json.loads(file.read_text()) if file.exists() else None
    if known != fleet and data.exists():
        print("The fleet is another one than last time: its past is written anew.", flush=True)
        shutil.rmtree(data)
    write(file, fleet)


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


def _write_credentials(address: str, store: Store, state: Path) -> None:
    """Make or keep the demo's user and token, and write them down."""
    file = state / "demo-credentials.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    password = known.get("password") or secrets.token_urlsafe(12)
    with store.begin() as session:
        if users.add(session, USER, "admin", hash_password(password)) or "token" not in known:
            ends = clock.now() + timedelta(days=365)
            known["token"], _ = tokens.create(
                session, name=USER, owner=USER, scopes=["responder"], expires_at=ends
            )
    write(file, {"url": address, "username": USER, "password": password, "token": known["token"]})


def _announce(state: Path, targets: dict[str, str], scenario: str | None) -> None:
    """Say where to go; a scenario begins a while after that."""
    known = json.loads((state / "demo-credentials.json").read_text())
    print(f"\n  Open      {known['url']}\n  User      {known['username']}\n  Password  {known['password']}\n")
    print(f"  Prometheus  {targets['prometheus']}\n  Kubernetes  {targets['kubernetes']}")
    print(f"  kubectl     --kubeconfig {state / 'demo-kubeconfig.yaml'}", flush=True)
    if scenario:
        body = json.dumps({"name": scenario, "after_seconds": ONSET_SECONDS}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{targets['control']}/scenario", body, headers)
        with urllib.request.urlopen(request, timeout=5):
            print(f"  Scenario    {scenario}, in {ONSET_SECONDS} s", flush=True)
    print(flush=True)


def write(file: Path, content: Mapping[str, object]) -> None:
    """JSON for one person, 0600."""
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(file)


def remembered_port(file: Path) -> int:
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
