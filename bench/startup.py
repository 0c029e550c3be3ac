"""`serve` from its start to its first page: everything imported first, against what the first page needs.

A child process over an empty configuration; its CPU is read when the page has come. Bytecode is compiled before, as
an installed wheel has it. Environment: ROUNDS.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.harness import Comparison, load, number, provenance, tree_cpu

NAIVE = ("-m", "bench.naive.startup")
CHOSEN = ("-m", "app.cli")
_COUNT = "import {}, sys; print(len(sys.modules))"


def first_page(how: tuple[str, ...], state: Path) -> tuple[float, float, str]:
    """CPU and wall seconds until the first page was there, and its title line."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["QUARTERDECK_OTLP_LISTEN"] = "127.0.0.1:0"
    command = [sys.executable, *how, "serve", "--state-dir", str(state), "--listen", "127.0.0.1:0"]
    began = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert child.stdout is not None
        said = next((line for line in child.stdout if "Listening on" in line), "")
        with urllib.request.urlopen(said.split()[-1] + "/login", timeout=20) as answer:
            page = answer.read().decode()
        wall, cpu = time.perf_counter() - began, tree_cpu(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(15)
    return cpu, wall, page.partition("<title>")[2].partition("<")[0]


def case(name: str, *, fresh: bool) -> None:
    """Interleave both ways; `fresh` gives each start an empty state directory."""
    runs: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    titles = set()
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "kept"
        kept.mkdir()
        first_page(CHOSEN, kept)
        began = time.perf_counter()
        for index in range(number("ROUNDS", 3)):
            for way, how in enumerate((NAIVE, CHOSEN)):
                state = Path(place) / f"{index}-{way}" if fresh else kept
                state.mkdir(exist_ok=True)
                cpu, wall, title = first_page(how, state)
                runs[way].append((cpu, wall))
                titles.add(title)
        took = time.perf_counter() - began
    if len(titles) != 1:
        raise SystemExit(f"{name}: the two ways give different pages: {titles}")
    ends = [(min(cpu for cpu, _ in way), statistics.median(cpu for cpu, _ in way)) for way in runs]
    spread = max((max(way)[0] - min(way)[0]) / min(way)[0] for way in runs)
    walls = [min(wall for _, wall in way) for way in runs]
    line = Comparison(name, ends[0], ends[1], 0.0, 0.0, spread, took)
    print(f"{line}  best wall {walls[0]:.2f} -> {walls[1]:.2f} s")


def modules(name: str) -> int:
    """How many modules are there once this one is imported."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT.format(name)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def main() -> None:
    """Both starts, and the number of modules."""
    print(provenance(0, "no clusters configured"))
    for folder in ("app", "collectors"):
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=False)
    case("first page of serve, store is there", fresh=False)
    case("first page of serve, first start", fresh=True)
    everything = modules(
        "bench.naive.startup as s, importlib; [importlib.import_module(n) for n in s.EVERYTHING]; import sys"
    )
    print(f"modules imported before the first page: naive {everything}  chosen {modules('app.processes')}")
    print(load())


if __name__ == "__main__":
    main()
