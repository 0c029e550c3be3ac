"""`serve` watching the demo fleet of 1,000 services for minutes: resident memory, CPU, size of the store, warnings.

Somebody signed in looks at Fleet, Topology and a service four times a minute. Nothing to compare with: it prints what
it sees, and fails when the topology does not hold the fleet. Takes minutes, so `make bench` runs it only when asked:
`make bench ONLY=memory`. Environment: SIZE (services, 1,000), MINUTES (5).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from bench.harness import load, number, provenance, tree_cpu

PAGES = ("/", "/topology", "/services/demo/shop/order", "/api/v1/topology?view=map")
EVERY = 15.0


def resident(pid: int) -> float:
    """Resident MB now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def own_cpu(pid: int) -> float:
    """CPU seconds of one process, without its children (the simulator and Prometheus)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(state: Path, services: int) -> subprocess.Popen[bytes]:
    """The demo, once it said where its pages are."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app.cli", "demo", "--state-dir", str(state), "--port", str(port)]
    log = (state / "serve.log").open("wb")
    child = subprocess.Popen([*command, "--services", str(services)], stdout=subprocess.DEVNULL, stderr=log)
    for _ in range(240):
        if (state / "demo-credentials.json").exists():
            return child
        time.sleep(0.5)
    child.kill()
    raise SystemExit("the demo did not start")


def signed_in(state: Path) -> tuple[requests.Session, str]:
    """A browser's session and the address."""
    known = json.loads((state / "demo-credentials.json").read_text())
    browser = requests.Session()
    form = {"username": known["username"], "password": known["password"], "next": "/"}
    answer = browser.post(known["url"] + "/login", data=form, headers={"Origin": known["url"]}, timeout=60)
    answer.raise_for_status()
    return browser, known["url"]


def watch(pid: int, state: Path, minutes: int) -> float:
    """Print a line a minute; the highest resident memory seen."""
    browser, url = signed_in(state)
    highest, began, spent, looks = 0.0, time.monotonic(), own_cpu(pid), 0.0
    for minute in range(1, minutes + 1):
        slowest = 0.0
        while time.monotonic() - began < 60 * minute:
            before = own_cpu(pid)
            for page in PAGES:
                answer = browser.get(url + page, timeout=60)
                slowest = max(slowest, answer.elapsed.total_seconds())
                if answer.status_code >= 500:
                    raise SystemExit(f"{page} answered {answer.status_code}")
            looks += own_cpu(pid) - before
            highest = max(highest, resident(pid))
            time.sleep(EVERY)
        cpu, now = own_cpu(pid), time.monotonic()
        size = sum(file.stat().st_size for file in state.glob("quarterdeck.db*")) / 1e6
        print(
            f"memory minute {minute}: rss {resident(pid):.0f} MB (highest {highest:.0f})"
            f"  cpu {(cpu - spent) / (now - began) * 100:.0f} % of a core so far, {looks:.1f} s of it for pages"
            f"  slowest page {slowest * 1000:.0f} ms wall  store {size:.1f} MB  load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    found = browser.get(url + "/api/v1/topology", timeout=60).json()
    print(f"memory topology: {len(found['nodes']):,} nodes, {len(found['edges']):,} edges")
    if len(found["nodes"]) < number("SIZE", 1_000):
        raise SystemExit("the topology does not hold the fleet")
    return highest


def main() -> None:
    """One run of the demo."""
    services, minutes = number("SIZE", 1_000), number("MINUTES", 5)
    print(provenance(1, f"{services:,} services, {minutes} minutes"))
    with tempfile.TemporaryDirectory() as place:
        state = Path(place)
        child = started(state, services)
        try:
            highest = watch(child.pid, state, minutes)
            whole = tree_cpu(child.pid)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(30)
        told = [
            line
            for line in (state / "serve.log").read_text().splitlines()
            if " WARNING " in line or " ERROR " in line
        ]
    print(f"memory {services:,} services: highest rss {highest:.0f} MB  cpu of all processes {whole:.0f} s")
    print(f"memory warnings in the log: {len(told)}", *told[:5], sep="\n  ")
    print(load())


if __name__ == "__main__":
    main()
