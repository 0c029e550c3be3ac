"""Reading: one object, lists in pages at one position, each as objects, metadata or a Table."""

from __future__ import annotations

import base64
import time

import orjson

from demo import kube_errors as errors
from demo.cluster import Cluster
from demo.kube_kinds import Kind, Obj
from demo.kube_request import AS_METADATA, AS_TABLE, Answer, Request, Target, wanted_form
from demo.kube_selectors import selector_test
from demo.kube_store import Entry, Gone
from demo.kube_table import table

FUTURE_SECONDS = 3.0  # how long a list waits for a position of the future
_TOO_OLD = "The resourceVersion for the provided list is too old."


def read_one(cluster: Cluster, request: Request, target: Target) -> Answer:
    """GET of one object (its `status` subresource is the whole object)."""
    form = wanted_form(request.headers.get("accept", ""))
    entry = cluster.store.entry(target.kind, (target.namespace, target.name))
    if entry is None:
        raise errors.not_found(target.kind, target.name)
    if form == AS_TABLE:
        meta = {"resourceVersion": str(entry.rv)}
        include = request.query.get("includeObject", "Metadata")
        shown = table(target.kind, [entry.obj], cluster.store.clock(), meta, include=include)
        return Answer(body=orjson.dumps(shown))
    if form == AS_METADATA:
        return Answer(body=partial(entry))
    return Answer(body=entry.whole)


def partial(entry: Entry) -> bytes:
    """Only the metadata of an object."""
    meta = orjson.dumps(entry.obj["metadata"])
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":' + meta + b"}"


def read_list(cluster: Cluster, request: Request, target: Target) -> Answer:
    """GET of a collection."""
    form = wanted_form(request.headers.get("accept", ""))
    kind, query = target.kind, request.query
    test = selector_test(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    limit = request.number("limit")
    rv, entries, start = _state(cluster, request, target)
    if test:
        entries = [entry for entry in entries if test(entry.obj)]
    if start:
        entries = [entry for entry in entries if _place(entry) >= start]
    meta: Obj = {"resourceVersion": str(rv)}
    if limit and len(entries) > limit:
        meta["continue"] = _token(rv, _place(entries[limit - 1]) + "\x00")
        if not test:
            meta["remainingItemCount"] = len(entries) - limit
        entries = entries[:limit]
    if form == AS_TABLE:
        objs, include = [entry.obj for entry in entries], query.get("includeObject", "Metadata")
        return Answer(body=orjson.dumps(table(kind, objs, cluster.store.clock(), meta, include=include)))
    return Answer(body=_page(kind, entries, meta, form))


def _page(kind: Kind, entries: list[Entry], meta: Obj, form: str) -> bytes:
    if form == AS_METADATA:
        return _list(
            "PartialObjectMetadataList", "meta.k8s.io/v1", meta, [partial(entry) for entry in entries]
        )
    return _list(f"{kind.kind}List", kind.api_version, meta, [entry.item for entry in entries])


def _list(kind: str, api_version: str, meta: Obj, items: list[bytes]) -> bytes:
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": meta})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _state(cluster: Cluster, request: Request, target: Target) -> tuple[int, list[Entry], str]:
    """(position, entries in order, where to begin) for what the request asks."""
    query = request.query
    if query.get("continue"):
        return _continued(cluster, target, query["continue"])
    asked, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if asked and not asked.isdigit():
        raise errors.bad_request(
            f"Invalid value: {orjson.dumps(asked).decode()}: strconv.ParseUint: invalid syntax"
        )
    position = int(asked or 0)
    if position > cluster.store.rv:
        _wait_for(cluster, position)
    with cluster.lock:
        shelf = cluster.store.shelves[target.kind]
        if match == "Exact" and position:
            try:
                return position, shelf.at(position, target.namespace), ""
            except Gone as gone:
                raise errors.expired(_TOO_OLD) from gone
        return cluster.store.rv, shelf.present(target.namespace), ""


def _wait_for(cluster: Cluster, position: int) -> None:
    deadline = time.monotonic() + FUTURE_SECONDS
    while cluster.store.rv < position:
        if time.monotonic() > deadline:
            raise errors.too_large_version(position, cluster.store.rv)
        time.sleep(0.05)


def _place(entry: Entry) -> str:
    namespace, name = entry.key
    return f"/{namespace}/{name}" if namespace else f"/{name}"


def _token(rv: int, start: str) -> str:
    body = orjson.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": start.lstrip("/")})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _continued(cluster: Cluster, target: Target, token: str) -> tuple[int, list[Entry], str]:
    try:
        body = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        rv, start = int(body["rv"]), "/" + str(body["start"]).lstrip("/")
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from error
    with cluster.lock:
        shelf = cluster.store.shelves[target.kind]
        if rv < 0:
            return cluster.store.rv, shelf.present(target.namespace), start
        try:
            return rv, shelf.at(rv, target.namespace), start
        except Gone as gone:
            raise errors.expired(errors.CONTINUE_EXPIRED, fresh=_token(-1, start)) from gone
