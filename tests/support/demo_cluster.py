"""A simulated cluster for tests: its time is driven by hand, its API is a real server on 127.0.0.1."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from typing import Any

from demo import kube
from demo.cluster import Cluster
from demo.kube_kinds import BY_RESOURCE, POD, Kind, Obj
from demo.seam import WorkloadSpec

TOKENS = {f"token-{name}": name for name in ("admin", "operator", "viewer", "nobody")}
START = 1_795_440_000.0


def kind(plural: str) -> Kind:
    return next(found for (_, _, name), found in BY_RESOURCE.items() if name == plural)


class Load:
    """CPU shares by hand: one for all pods."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def cpu_usage(self, namespace: str, pod: str) -> float:
        return self.share


class Demo:
    """A cluster and its clock; `go` lets model time pass."""

    def __init__(self, *specs: WorkloadSpec, seed: int = 7) -> None:
        self.now = START
        self.cluster = Cluster(specs, seed=seed, clock=lambda: self.now)
        self.cluster.step(self.now)

    def go(self, seconds: float, step: float = 0.2) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += min(step, end - self.now)
            self.cluster.step(self.now)

    def get(self, plural: str, name: str, namespace: str = "shop") -> Obj:
        found = self.cluster.store.get(kind(plural), (namespace, name))
        assert found is not None, f"no {plural} {namespace}/{name}"
        return found

    def all(self, plural: str, namespace: str = "") -> list[Obj]:
        return self.cluster.store.objects(kind(plural), namespace)

    def pods(self, app: str) -> list[Obj]:
        return [pod for pod in self.cluster.store.objects(POD) if pod["metadata"]["labels"].get("app") == app]

    def make(self, plural: str, obj: Obj) -> Obj:
        with self.cluster.lock:
            return self.cluster.engine.made(kind(plural), obj, manager="test")

    @contextmanager
    def served(self, **options: Any):
        server = kube.serve(self.cluster, "127.0.0.1", 0, TOKENS, **options)
        try:
            yield Caller(server)
        finally:
            server.stop()

    @contextmanager
    def alive(self, speed: float = 20.0):
        """Model time runs on a thread, `speed` times wall time: for clients that wait for a rollout."""
        stop = threading.Event()

        def run() -> None:
            began, origin = time.monotonic(), self.now
            while not stop.wait(0.01):
                self.now = origin + (time.monotonic() - began) * speed
                self.cluster.step(self.now)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(5)


class Caller:
    """Plain requests to a served cluster."""

    def __init__(self, server: kube.Server) -> None:
        self.server = server

    def call(
        self, method: str, path: str, body: Any = None, *, user: str = "admin", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """(status, headers, body as JSON or text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if user != "anonymous":
            sent["Authorization"] = f"Bearer token-{user}"
        data = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, dict(answer.getheaders()), json.loads(text)
        except ValueError:
            return answer.status, dict(answer.getheaders()), text

    def merge(self, path: str, body: Any, **options: str) -> tuple[int, dict[str, str], Any]:
        return self.call("PATCH", path, body, Content_Type="application/merge-patch+json", **options)

    def events(self, path: str, count: int, *, user: str = "admin") -> list[Obj]:
        """The first events of a watch."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request("GET", path, headers={"Authorization": f"Bearer token-{user}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        found: list[Obj] = []
        try:
            while len(found) < count and (line := answer.readline()):
                found.append(json.loads(line))
        finally:
            connection.close()
        return found
