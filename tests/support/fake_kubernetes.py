"""A Kubernetes API that lists in pages, watches with bookmarks, forgets its history and refuses when told to."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.http_fake import HttpFake, Reply, Request

Key = tuple[str, str]
TICK = 0.02


class FakeKubernetes:
    """Objects by plural and (namespace, name); every change is one event of one shared history."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[Key, dict[str, Any]]] = {}
        self.namespaces: set[str] = {"shop"}
        self.version = 100
        self.oldest = 0
        self.pages: list[Request] = []
        self._history: list[tuple[int, str, bytes]] = []
        self._news = threading.Condition()
        self._refusals: dict[str, tuple[Reply, bool]] = {}
        self._generation = 0
        self.open: Counter[str] = Counter()
        self.server = HttpFake(self._answer)
        self.url = self.server.url

    def put(self, plural: str, name: str, namespace: str = "shop", **fields: Any) -> dict[str, Any]:
        """Create or change an object; `metadata` among the fields is added to."""
        held = self.objects.setdefault(plural, {})
        kind = "MODIFIED" if (namespace, name) in held else "ADDED"
        with self._news:
            self.version += 1
            metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"} | fields.pop(
                "metadata", {}
            )
            made = {"metadata": metadata | {"resourceVersion": str(self.version)}, **fields}
            held[(namespace, name)] = made
            self._tell(plural, kind, made)
        return made

    def delete(self, plural: str, name: str, namespace: str = "shop") -> None:
        """Remove an object."""
        with self._news:
            self.version += 1
            gone = self.objects[plural].pop((namespace, name))
            self._tell(
                plural,
                "DELETED",
                gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.version)}},
            )

    def forget(self, plural: str, name: str, namespace: str = "shop") -> None:
        """Remove an object and all history, as after a compaction: older positions are expired."""
        with self._news:
            self.version += 1
            self.objects[plural].pop((namespace, name))
            self._history.clear()
            self.oldest = self.version
        self.end_streams()

    def bookmark(self, plural: str, **zero_values: Any) -> int:
        """Tell open streams of a kind the position; the rest of the object is zero values."""
        with self._news:
            self.version += 1
            self._tell(
                plural, "BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}, **zero_values}
            )
            return self.version

    def line(self, plural: str, line: bytes) -> None:
        """Send a line as it is."""
        with self._news:
            self.version += 1
            self._history.append((self.version, plural, line))
            self._news.notify_all()

    def end_streams(self) -> None:
        """Every open watch ends, as at its timeout."""
        with self._news:
            self._generation += 1
            self._news.notify_all()

    def refuse(self, path: str, status: int, body: Any = None, *, lists_only: bool = False) -> None:
        """Requests whose path ends with `path` get this status."""
        said = body if isinstance(body, bytes) else json.dumps(body or status_of(status)).encode()
        self._refusals[path] = (Reply(status, said), lists_only)

    def allow(self, path: str) -> None:
        """Takes a refusal back."""
        self._refusals.pop(path, None)

    def watches(self, plural: str) -> list[Request]:
        """The watch requests of a kind that came."""
        return [r for r in self.server.requests if r.path.endswith(plural) and "watch" in r.params]

    def lists(self, plural: str) -> list[Request]:
        """The list requests of a kind that came."""
        return [r for r in self.server.requests if r.path.endswith(plural) and "watch" not in r.params]

    def kubeconfig(self, directory: Path, *, token: str = "t0ken", namespace: str = "") -> Path:
        """A kubeconfig that leads here."""
        context = {"cluster": "fake", "user": "reader"} | ({"namespace": namespace} if namespace else {})
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "reader", "user": {"token": token}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        file = directory / "kubeconfig.yaml"
        file.write_text(yaml.safe_dump(config))
        return file

    def __enter__(self) -> FakeKubernetes:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_streams()
        self.server.__exit__()

    def _tell(self, plural: str, kind: str, made: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": made}).encode()
        self._history.append((self.version, plural, line))
        self._news.notify_all()

    def _answer(self, request: Request) -> Reply:
        for path, (reply, lists_only) in self._refusals.items():
            if request.path.endswith(path) and not (lists_only and "watch" in request.params):
                return reply
        parts = request.path.strip("/").split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        plural = parts[-1]
        if parts[-2] == "namespaces":
            found = namespace in self.namespaces
            return (
                Reply(200, b'{"kind":"Namespace"}')
                if found
                else Reply(404, json.dumps(status_of(404)).encode())
            )
        if request.params.get("watch"):
            return Reply(200, self._stream(plural, namespace, request))
        return self._list(plural, namespace, request)

    def _list(self, plural: str, namespace: str, request: Request) -> Reply:
        held = [
            o for k, o in sorted(self.objects.get(plural, {}).items()) if not namespace or k[0] == namespace
        ]
        limit, start = int(request.params.get("limit", "0")), int(request.params.get("continue") or "0")
        page = held[start : start + limit] if limit else held
        after = start + len(page)
        metadata: dict[str, Any] = {"resourceVersion": str(self.version)}
        if after < len(held):
            metadata |= {"continue": str(after), "remainingItemCount": len(held) - after}
        return Reply(200, json.dumps({"kind": "List", "metadata": metadata, "items": page}).encode())

    def _stream(self, plural: str, namespace: str, request: Request) -> Iterator[bytes]:
        at = int(request.params.get("resourceVersion") or "0")
        if at < self.oldest:
            gone = status_of(410, "Expired", f"too old resource version: {at} ({self.oldest})")
            yield json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"
            return
        generation = self._generation
        self.open[plural] += 1
        try:
            yield from self._events(plural, namespace, at, generation)
        finally:
            self.open[plural] -= 1

    def _events(self, plural: str, namespace: str, at: int, generation: int) -> Iterator[bytes]:
        while not self.server.leaving(0):
            with self._news:
                news = [e for e in self._history if e[0] > at and e[1] == plural]
                if not news and generation != self._generation:
                    return
                if not news:
                    self._news.wait(TICK)
                    continue
            for version, _, line in news:
                at = version
                if not namespace or f'"namespace": "{namespace}"'.encode() in line:
                    yield line + b"\n"


def status_of(code: int, reason: str = "", message: str = "") -> dict[str, Any]:
    """A Status as the API server writes it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or f"refused with {code}",
        "reason": reason or {403: "Forbidden", 401: "Unauthorized", 404: "NotFound"}.get(code, "Failure"),
        "code": code,
    }


def a_deployment(
    image: str = "registry.example/order:1.0.0", replicas: int = 2, ready: int = 2
) -> dict[str, Any]:
    """Spec and status of a small Deployment."""
    container = {"name": "main", "image": image, "env": [{"name": "PASSWORD", "value": "hunter2"}]}
    return {
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
        "status": {"replicas": replicas, "readyReplicas": ready, "observedGeneration": 1},
    }
