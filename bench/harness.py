"""Measuring both ways in one run: interleaved, in CPU seconds, same answer first, provenance in the output.

A case calls `compare(name, naive, chosen)` and prints the line that comes back. Wall time stands in brackets
and is compared with nothing. `size()` and `rounds()` read SIZE and ROUNDS from the environment.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("numpy", "msgspec", "zstandard", "sqlalchemy", "psycopg", "protobuf", "kubernetes")


@dataclass(frozen=True)
class Comparison:
    """CPU seconds of each way, best and median, own process and server apart; the ratio is of the medians' sum."""

    name: str
    naive: tuple[float, float]
    chosen: tuple[float, float]
    naive_server: float
    chosen_server: float
    spread: float
    wall: float

    @property
    def ratio(self) -> float:
        return (self.naive[1] + self.naive_server) / max(self.chosen[1] + self.chosen_server, 1e-9)

    def __str__(self) -> str:
        def way(seconds: tuple[float, float], server: float) -> str:
            extra = f" + {server * 1e3:.2f} server" if self.naive_server or self.chosen_server else ""
            return f"{seconds[1] * 1e3:.2f} ms (best {seconds[0] * 1e3:.2f}){extra}"

        return (
            f"{self.name:<46} naive {way(self.naive, self.naive_server):<38} "
            f"chosen {way(self.chosen, self.chosen_server):<38} x{self.ratio:.1f}  "
            f"spread {self.spread:.0%}  (wall {self.wall:.1f} s)"
        )


def compare(
    name: str,
    naive: Callable[[], object],
    chosen: Callable[[], object],
    *,
    same: Callable[[object, object], bool] | None = None,
    repeat: int = 1,
    rounds: int | None = None,
    server_cpu: Callable[[], float] = lambda: 0.0,
) -> Comparison:
    """Interleave both ways and take the CPU seconds of one call of each.

    `same` says whether both answers are equal: a fast wrong answer is a failed benchmark. `repeat` calls per
    round make short work measurable. `server_cpu` reads the CPU seconds a server has spent so far.
    """
    if same is not None and not same(naive(), chosen()):
        raise SystemExit(f"{name}: the two ways give different answers")
    began = time.perf_counter()
    own: tuple[list[float], list[float]] = ([], [])
    server: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds or number("ROUNDS", 5)):
        for way, work in enumerate((naive, chosen)):
            gc.collect()
            before, mine = server_cpu(), time.process_time()
            for _ in range(repeat):
                work()
            own[way].append((time.process_time() - mine) / repeat)
            server[way].append((server_cpu() - before) / repeat)
    ends = [(min(seconds), statistics.median(seconds)) for seconds in own]
    spread = max((max(seconds) - min(seconds)) / max(min(seconds), 1e-9) for seconds in own)
    servers = [
        statistics.fmean(seconds) for seconds in server
    ]  # its clock ticks in 10 ms: only the mean tells
    return Comparison(name, ends[0], ends[1], servers[0], servers[1], spread, time.perf_counter() - began)


def growth(costs: Iterable[tuple[int, float]]) -> str:
    """The exponent of cost over size between the smallest and the largest input; above 1.2 it grows."""
    points = sorted(costs)
    (low, cheap), (high, dear) = points[0], points[-1]
    exponent = math.log(max(dear, 1e-12) / max(cheap, 1e-12)) / math.log(high / low)
    return f"**growth {exponent:.2f}: grows**" if exponent > 1.2 else f"growth {exponent:.2f}"


def number(name: str, otherwise: int) -> int:
    """A whole number from the environment."""
    return int(os.environ.get(name, otherwise))


def sizes() -> list[int]:
    """Services per fleet: SIZE, or 100 and 1,000."""
    return [number("SIZE", 0)] if os.environ.get("SIZE") else [100, 1_000]


def peak_rss(module: str, *arguments: str) -> float:
    """Peak resident MB of `python -m module arguments` in a child of its own."""
    script = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__');"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, module, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stderr.rsplit("PEAK", 1)[1])


def own_rss() -> float:
    """Peak resident MB of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tree_cpu(pid: int) -> float:
    """CPU seconds (user and system) of a process and its living and reaped children."""
    ticks, tick = 0, os.sysconf("SC_CLK_TCK")
    children = {pid}
    for path in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(path.parent.name) == pid or int(fields[1]) in children:
            children.add(int(path.parent.name))
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / tick


def provenance(seed: int, size: str) -> str:
    """What was measured where: one line for the top of the output."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    libraries = " ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"# commit {commit or '-'} · python {platform.python_version()} · {libraries}"
        f" · {model} · {os.cpu_count()} cores · load {os.getloadavg()[0]:.2f} · seed {seed} · {size}"
    )


def load() -> str:
    """The load average for the end of the output."""
    return f"# load at end {os.getloadavg()[0]:.2f}"
