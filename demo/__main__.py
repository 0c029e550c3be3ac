"""`python -m demo`: the simulated fleet as one process, with exporters, Kubernetes API and control address.

Prints one line `Fleet listening on …` when it answers, and ends on SIGTERM. What a person or a program needs to
find it is written into the state directory; ports and tokens there outlive a restart.
"""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
import threading
from pathlib import Path

from app import clock
from demo import addresses, evidence, generate, kube
from demo.catalog import Catalog, workload_specs
from demo.cluster import Cluster
from demo.control import Control
from demo.evidence import Evidence
from demo.loop import Loop
from demo.metrics import Exporter
from demo.model import Fleet
from demo.scenario import KINDS, Director
from demo.sender import Sender
from demo.server import FleetServer
from demo.traces import RATIO, Tracer

_BIG_RATIO = 0.02  # of requests; a big fleet has many more


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; answers the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    options = _options(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    options.state_dir.mkdir(parents=True, exist_ok=True)
    catalog = generate.catalog(options.services or 0, options.seed)
    cluster, fleet = _made(catalog, options.seed)
    director = Director(fleet, cluster)
    ports = addresses.ports(options.state_dir, host=options.host, base=options.port_base)
    tokens = addresses.tokens(options.state_dir)
    users = {token: user for user, token in tokens.items()}
    names = (options.advertise,) if options.advertise else ()
    api = kube.serve(cluster, options.host, ports["kubernetes"], users, names=names)
    server = FleetServer((options.host, ports["fleet"]), Exporter(fleet, options.evidence), Control(director))
    server.start()
    addresses.write(options.state_dir, options.advertise or options.host, ports, tokens["operator"], api.ca)
    if options.scenario:
        director.schedule(options.scenario)
    sys.stdout.write(f"Fleet listening on http://{options.host}:{ports['fleet']}\n")
    sys.stdout.flush()
    gc.freeze()  # the fleet's objects live as long as the process: spare the collector the walk
    _drive(fleet, cluster, director, options, stop)
    server.shutdown()
    api.stop()
    return 0


def _made(catalog: Catalog, seed: int) -> tuple[Cluster, Fleet]:
    """Cluster and fleet that know each other, settled."""
    start = clock.now().timestamp()
    cluster = Cluster(workload_specs(catalog), seed=seed, clock=lambda: clock.now().timestamp())
    cluster.step(start)
    fleet = Fleet(catalog, cluster, seed=seed, start=start)
    cluster.attach(fleet)
    return cluster, fleet


def _drive(
    fleet: Fleet, cluster: Cluster, director: Director, options: argparse.Namespace, stop: threading.Event
) -> None:
    """Beat until `stop`. Sampling keeps the spans per second of wall time about the same at any size and speed."""
    usual = (_BIG_RATIO if fleet.plan.catalog.big else RATIO) / max(1.0, options.speed)
    ratio = usual if options.sampled is None else options.sampled
    tracer = Tracer(fleet, seed=options.seed, ratio=round(ratio, 6))
    traced = options.otlp and Evidence.TRACES in options.evidence
    sender = Sender(options.otlp) if traced else None
    Loop(fleet, cluster, director, speed=options.speed, tracer=tracer, sender=sender).run(stop)
    if sender:
        sender.close()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    example = "example: python -m demo --state-dir demo-data --scenario traffic-surge"
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="The simulated fleet.", epilog=example
    )
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="where addresses, ports and tokens are written"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed makes the same fleet and the same load"
    )
    parser.add_argument(
        "--services", type=_services, default=0, help="services in total, up to 1,000 (default 11)"
    )
    parser.add_argument("--speed", type=_speed, default=1.0, help="model seconds per second of wall time")
    parser.add_argument("--scenario", choices=sorted(KINDS), help="begins 60 s after the start")
    parser.add_argument(
        "--otlp", type=_address, help="OTLP/HTTP address, such as http://127.0.0.1:4318/v1/traces"
    )
    parser.add_argument(
        "--evidence",
        type=evidence.parse,
        default=evidence.DEFAULT,
        metavar="LIST",
        help=f"how calls are seen: a list of {', '.join(Evidence)} (default {evidence.DEFAULT})",
    )
    parser.add_argument(
        "--sampled", type=_share, help="share of requests that are traced (default 0.1, a big fleet 0.02)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--advertise", help="host name under which others reach this process")
    parser.add_argument("--port-base", type=int, help="exporters on this port, Kubernetes API on the next")
    return parser.parse_args(arguments)


def _services(text: str) -> int:
    value = int(text)
    if not 0 <= value <= generate.MAX_LIVE:
        raise argparse.ArgumentTypeError(f"at most {generate.MAX_LIVE} services run live")
    return value


def _speed(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 60.0:
        raise argparse.ArgumentTypeError("between 0.1 and 60")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError("above 0 and at most 1")
    return value


def _address(text: str) -> str:
    if not text.startswith("http://"):
        raise argparse.ArgumentTypeError("an address like http://127.0.0.1:4318/v1/traces is wanted")
    return text


if __name__ == "__main__":
    sys.exit(main())
