"""Watches: what is there, then every change as a line of JSON, bookmarks in between, and an end that was announced.

Each watch has its own queue; a slow reader is dropped and never holds up a write.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue

import orjson

from demo.cluster import Cluster
from demo.kube_errors import bad_request, cause, invalid, status
from demo.kube_kinds import EVENT, Obj
from demo.kube_read import partial
from demo.kube_request import AS_METADATA, AS_TABLE, Answer, Request, Target, wanted_form
from demo.kube_selectors import Test, selector_test
from demo.kube_store import Change, Entry, Gone
from demo.kube_table import table

BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 1.5  # before the end of the stream
LONGEST_QUEUE = 20_000
_ZERO_WORKLOAD: Obj = {
    "selector": None, "template": {"metadata": {}, "spec": {"containers": None}},
}  # fmt: skip
_ZERO: dict[str, Obj] = {
    "Deployment": {"spec": {"replicas": 0, **_ZERO_WORKLOAD, "strategy": {}}, "status": {}},
    "ReplicaSet": {"spec": _ZERO_WORKLOAD, "status": {"replicas": 0}},
    "StatefulSet": {
        "spec": {**_ZERO_WORKLOAD, "serviceName": "", "updateStrategy": {}},
        "status": {"replicas": 0, "availableReplicas": 0},
    },
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Node": {"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}}},
    "HorizontalPodAutoscaler": {
        "spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
        "status": {"desiredReplicas": 0, "currentMetrics": None},
    },
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Namespace": {"spec": {}, "status": {}},
    "Event": {
        "involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
        "reportingComponent": "", "reportingInstance": "",
    },
}  # fmt: skip


class Watch:
    """One stream. Made under the store's lock, so that nothing falls between the initial state and the queue."""

    def __init__(self, cluster: Cluster, request: Request, target: Target) -> None:
        self.cluster = cluster
        self.kind = target.kind
        self.namespace = target.namespace
        self.form = wanted_form(request.headers.get("accept", ""))
        query = request.query
        self.test: Test | None = selector_test(
            target.kind, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        self.include = query.get("includeObject", "Metadata")
        self.bookmarks = request.flag("allowWatchBookmarks")
        seconds = request.number("timeoutSeconds") or random.randint(1800, 3600)
        self.end = time.monotonic() + seconds
        self.queue: SimpleQueue[Change] = SimpleQueue()
        self.headers_sent = False
        self.position = 0
        self.after = 0  # a position of the future stays silent until it is reached
        self.backlog: list[bytes] = []
        self._begin(_position(query), initial=request.flag("sendInitialEvents"))

    def _begin(self, position: int, *, initial: bool) -> None:
        store = self.cluster.store
        with self.cluster.lock:
            shelf = store.shelves[self.kind]
            if position == 0 or initial:
                self.position = store.rv
                entries = shelf.present(self.namespace)
                shown = [entry for entry in entries if self.test is None or self.test(entry.obj)]
                self.backlog = [self._line("ADDED", entry) for entry in shown]
                if self.bookmarks:
                    self.backlog.append(self._bookmark(initial=True))
            else:
                self.position = self.after = position
                try:
                    changes = shelf.since(position)
                except Gone as gone:
                    self.backlog = [_expired(position, gone.oldest)]
                    self.end = 0.0
                    return
                self.backlog = [line for change in changes if (line := self._change(change))]
            shelf.followers.append(self.queue)

    def close(self) -> None:
        """Stop following."""
        with self.cluster.lock:
            followers = self.cluster.store.shelves[self.kind].followers
            if self.queue in followers:
                followers.remove(self.queue)

    def lines(self) -> Iterator[bytes]:
        """Lines of the stream, several at a time when they wait; ends at the timeout."""
        try:
            yield b"".join(self.backlog)
            self.backlog = []
            next_bookmark = time.monotonic() + BOOKMARK_SECONDS
            last_bookmark = self.end - LAST_BOOKMARK_SECONDS
            while (now := time.monotonic()) < self.end:
                due = min(next_bookmark, last_bookmark, self.end)
                batch = self._batch(max(min(due - now, 1.0), 0.0))
                if batch:
                    yield batch
                now = time.monotonic()
                if now >= min(next_bookmark, last_bookmark):
                    last_bookmark = float("inf") if now >= last_bookmark else last_bookmark
                    next_bookmark = now + BOOKMARK_SECONDS
                    if self.bookmarks and self.kind is not EVENT:
                        yield self._bookmark(initial=False)
                else:
                    yield b""  # lets the connection notice that the server ends or the client is gone
                if self.queue.qsize() > LONGEST_QUEUE:
                    return
        finally:
            self.close()

    def _batch(self, seconds: float) -> bytes:
        try:
            changes = [self.queue.get(timeout=seconds)] if seconds > 0 else [self.queue.get_nowait()]
        except Empty:
            self._catch_up()
            return b""
        while not self.queue.empty():
            changes.append(self.queue.get_nowait())
        return b"".join(line for change in changes if (line := self._change(change)))

    def _catch_up(self) -> None:
        """With an empty queue the position is that of the whole store: what a bookmark may promise."""
        with self.cluster.lock:
            if self.queue.empty():
                self.position = max(self.position, self.cluster.store.rv)

    def _change(self, change: Change) -> bytes:
        entry = change.entry
        self.position = max(self.position, entry.rv)
        if entry.rv <= self.after:
            return b""
        if self.namespace and entry.key[0] != self.namespace:
            return b""
        if self.test is None:
            return self._line(change.type, entry)
        now = change.type != "DELETED" and self.test(entry.obj)
        before = change.previous is not None and self.test(change.previous.obj)
        if now:
            return self._line("MODIFIED" if before else "ADDED", entry)
        return self._line("DELETED", entry) if before else b""

    def _line(self, event: str, entry: Entry) -> bytes:
        if self.form == AS_TABLE:
            shown = table(
                self.kind,
                [entry.obj],
                self.cluster.store.clock(),
                {"resourceVersion": str(entry.rv)},
                headers=not self.headers_sent,
                include=self.include,
            )
            self.headers_sent = True
            body = orjson.dumps(shown)
        else:
            body = partial(entry) if self.form == AS_METADATA else entry.whole
        return b'{"type":"' + event.encode() + b'","object":' + body + b"}\n"

    def _bookmark(self, *, initial: bool) -> bytes:
        meta: Obj = {"resourceVersion": str(self.position)}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        zero: Obj = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
        zero.update(_ZERO.get(self.kind.kind, {}))
        if self.form == AS_METADATA:
            zero = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
        elif self.form == AS_TABLE:
            zero = {**table(self.kind, [], 0.0, meta, headers=False)}
        return orjson.dumps({"type": "BOOKMARK", "object": zero}) + b"\n"


def watch(cluster: Cluster, request: Request, target: Target) -> Answer:
    """The answer to a GET with `watch`."""
    match = request.query.get("resourceVersionMatch", "")
    if request.flag("sendInitialEvents") and match != "NotOlderThan":
        message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        details = {"group": "meta.k8s.io", "kind": "ListOptions"}
        raise invalid(
            "ListOptions.meta.k8s.io",
            "",
            [cause("FieldValueForbidden", message, "resourceVersionMatch")],
            details,
        )
    stream = Watch(cluster, request, target)
    return Answer(stream=stream.lines())


def _position(query: dict[str, str]) -> int:
    text = query.get("resourceVersion") or "0"
    if not text.isdigit():
        raise bad_request(f"Invalid value: {orjson.dumps(text).decode()}: strconv.ParseUint: invalid syntax")
    return int(text)


def _expired(position: int, oldest: int) -> bytes:
    gone = status(410, "Expired", f"too old resource version: {position} ({oldest})")
    return orjson.dumps({"type": "ERROR", "object": gone}) + b"\n"
