"""Pods listed and watched: the typed client against raw bytes and small structs.

Recorded pods (5.7 kB on average) with seeded names, places and states, served in pages of 500 by a child
process. The typed way runs under Python's own garbage collector settings, the chosen one under those that serve
sets at start; with serve's settings on both sides the factor of a list is about a third smaller.
Environment: PODS (default 1,000 and 10,000), ROUNDS.
"""

from __future__ import annotations

import copy
import gc
import json
import multiprocessing
import os
import random
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.config import Kubernetes
from app.factory import tune_collector
from bench.harness import compare, growth, load, number, provenance
from bench.naive import kubernetes as naive
from collectors.kube_api import KubeApi
from collectors.kube_kinds import KINDS, read_page
from collectors.kube_watch import KindWatch
from tests.support import recorded

SEED = 11
PODS = next(kind for kind in KINDS if kind.plural == "pods")
PAGE = 500
PYTHONS_OWN = gc.get_threshold()
tune_collector()
AS_SERVED = gc.get_threshold()


def templates() -> list[dict[str, Any]]:
    """Recorded pods of a real API server, running ones."""
    recording = recorded.load(recorded.files("kubernetes", "list/pods.json*")[0])
    return [pod for pod in recording["body"]["items"] if pod["status"]["phase"] == "Running"]


def make_pod(index: int, draw: random.Random, models: list[dict[str, Any]]) -> dict[str, Any]:
    """A recorded pod with another name, place, age and state; everything else as the server wrote it."""
    pod: dict[str, Any] = copy.deepcopy(models[index // 3 % len(models)])
    service = f"service-{index // 3:05d}"
    stamp = f"2026-11-{draw.randint(10, 23)}T{draw.randint(10, 23)}:{draw.randint(10, 59)}:{draw.randint(10, 59)}Z"
    meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
    meta |= {
        "name": f"{service}-{draw.getrandbits(40):010x}-{index:05d}",
        "namespace": f"team-{index % 20}",
        "uid": f"{draw.getrandbits(128):032x}",
        "resourceVersion": str(1000 + index),
        "creationTimestamp": stamp,
    }
    meta["labels"] |= {"app": service, "pod-template-hash": f"{index // 3:x}"}
    meta["ownerReferences"][0] |= {"uid": f"{draw.getrandbits(128):032x}", "name": service}
    spec["nodeName"] = f"node-{draw.randint(0, 199)}"
    spec["containers"][0] |= {"image": f"registry.example/{service}:1.{draw.randint(0, 40)}.0"}
    status |= {"startTime": stamp, "podIP": f"10.{index % 250}.{draw.randint(0, 255)}.{draw.randint(1, 254)}"}
    if draw.random() < 0.03:
        for condition in status["conditions"]:
            condition["status"] = "False" if condition["type"] == "Ready" else condition["status"]
    return pod


def pages(count: int) -> list[bytes]:
    draw = random.Random(SEED)
    models = templates()
    pods = [make_pod(index, draw, models) for index in range(count)]
    made = []
    for start in range(0, count, PAGE):
        after = start + PAGE
        metadata = {"resourceVersion": "99999"} | ({"continue": str(after)} if after < count else {})
        body = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods[start:after]}
        made.append(json.dumps(body, separators=(",", ":")).encode())
    return made


def serve(count: int, pipe: Connection) -> None:
    bodies = pages(count)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            token = parse_qs(urlsplit(self.path).query).get("continue", ["0"])[0]
            body = bodies[int(token) // PAGE]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send((f"http://127.0.0.1:{server.server_address[1]}", sum(map(len, bodies))))
    server.serve_forever()


def started(count: int) -> tuple[multiprocessing.Process, str, int]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(count, theirs), daemon=True)
    process.start()
    url, size = ours.recv()
    return process, url, size


def api_of(url: str) -> KubeApi:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "b",
        "clusters": [{"name": "b", "cluster": {"server": url}}], "users": [{"name": "b", "user": {}}],
        "contexts": [{"name": "b", "context": {"cluster": "b", "user": "b"}}],
    }  # fmt: skip
    with NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    api = KubeApi(Kubernetes(kubeconfig=Path(file.name)))
    api.home_namespace()
    os.unlink(file.name)
    return api


def list_pods(api: KubeApi) -> set[tuple[str, str]]:
    found: dict[Any, Any] = {}
    token = ""
    while True:
        params = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        page = read_page(PODS, api.get(PODS.path(), params))
        found.update(page.objects)
        token = page.next_page
        if not token:
            return set(found)


def take_events(lines: list[bytes]) -> set[str]:
    watch = KindWatch(None, PODS)  # type: ignore[arg-type]
    for line in lines:
        watch._take(watch._line(line))
    return {pod.name for pod in watch.objects()[1]}


def plainly(work: Callable[[], object]) -> Callable[[], object]:
    """`work` under Python's own settings of the garbage collector."""

    def run() -> object:
        gc.unfreeze()
        gc.set_threshold(*PYTHONS_OWN)
        return work()

    return run


def as_served(work: Callable[[], object]) -> Callable[[], object]:
    """`work` under the settings that serve makes once at its start; making them is not counted."""

    def run() -> object:
        gc.set_threshold(*AS_SERVED)
        return work()

    return run


def main() -> None:
    counts = [number("PODS", 0)] if os.environ.get("PODS") else [1_000, 10_000]
    print(provenance(SEED, f"{counts} pods"))
    costs = []
    for count in counts:
        process, url, size = started(count)
        api = api_of(url)
        line = compare(
            f"list {count:,} pods, {size / 1e6:.1f} MB",
            plainly(lambda url=url: naive.list_pods(url)),
            as_served(lambda api=api: list_pods(api)),
            same=lambda a, b: a == b,
            rounds=number("ROUNDS", 5 if count < 5_000 else 1),
        )
        process.terminate()
        costs.append((count, line.chosen[1]))
        print(f"{line}  {line.chosen[1] / count * 1e6:.1f} us a pod")
    if len(costs) > 1:
        print(growth(costs))
    draw, models = random.Random(SEED), templates()
    lines = [
        json.dumps(
            {"type": "MODIFIED", "object": {"kind": "Pod", "apiVersion": "v1", **make_pod(i, draw, models)}}
        ).encode()
        for i in range(1_000)
    ]
    line = compare(
        "watch, 1,000 events",
        plainly(lambda: naive.take_events(lines)),
        as_served(lambda: take_events(lines)),
        same=lambda a, b: a == b,
    )
    print(f"{line}  {line.chosen[1] / len(lines) * 1e6:.1f} us an event")
    print(load())


if __name__ == "__main__":
    main()
