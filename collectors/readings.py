"""What label sets mean: server metrics name a party, client metrics a pair, span metrics a party by its spans.

Outcome rules (reference: topology 4.1): 5xx and the server-side gRPC codes are failures, 4xx and the other
gRPC codes are the caller's errors, an error label without any status is a failure.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from app.model.fleet import EdgeKind, Identity, NodeKind
from collectors.families import Found, Role
from collectors.tally import Outcome, Reading

_GRPC_FAILED = frozenset(
    ["unknown", "deadlineexceeded", "unimplemented", "internal", "unavailable", "dataloss"]  # as names
) | frozenset(["2", "4", "12", "13", "14", "15"])  # the same as numbers
_GRPC_OK = frozenset({"ok", "0"})
_FAILED_WORDS = frozenset({"error", "failed", "failure", "server_error", "status_code_error", "timeout"})
_GOOD_WORDS = frozenset({"ok", "success", "successful", "unset", "status_code_ok", "status_code_unset"})
_LONGEST_NAME = 253
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class NodeKey:
    """A row of inbound traffic."""

    party: Identity
    version: str = ""


@dataclass(frozen=True, slots=True)
class EdgeKey:
    """A row of calls."""

    source: Identity
    target: Identity
    protocol: str
    kind: EdgeKind = EdgeKind.SYNC


def read_server(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of a server metric: the service itself, by version."""
    party = _service(found, labels)
    if party is None:
        return None
    key = NodeKey(party, _pick(found, labels, Role.VERSION))
    return Reading(party, key, _outcome(found, labels))


def read_span(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of span metrics (server and consumer spans only)."""
    party = _service(found, labels)
    if party is None:
        return None
    failed = labels.get("status_code", "").upper() in {"STATUS_CODE_ERROR", "ERROR"}
    outcome = Outcome.FAILED if failed else Outcome.SUCCESS
    return Reading(party, NodeKey(party, _pick(found, labels, Role.VERSION)), outcome)


def read_client(found: Found, labels: Mapping[str, str]) -> Reading | None:
    """A row of a client metric: caller and the address, store or queue that it called."""
    caller = _service(found, labels)
    if caller is None:
        return None
    if found.family.protocol == "messaging":
        passed = _messaging(found, labels, caller)
        return None if passed is None else Reading(_between(passed), passed, _outcome(found, labels))
    address = _address(found, labels)
    alias = _pick(found, labels, Role.PEER)
    if found.family.protocol == "db":
        engine = _pick(found, labels, Role.ENGINE).lower() or "unknown"
        target = Identity(
            kind=NodeKind.DATABASE,
            engine=engine,
            address=address,
            alias=alias,
            detail=_pick(found, labels, Role.DATABASE),
            scope=_scope(caller, address),
        )
        key = EdgeKey(caller, target, engine)
    elif address or alias:
        target = Identity(kind=NodeKind.EXTERNAL, address=address, alias=alias, scope=_scope(caller, address))
        key = EdgeKey(caller, target, found.family.protocol)
    else:
        return None
    return Reading(_between(key), key, _outcome(found, labels))


def _messaging(found: Found, labels: Mapping[str, str], caller: Identity) -> EdgeKey | None:
    """Sends go to the queue, receives and processing come from it; settling draws nothing."""
    system = _pick(found, labels, Role.SYSTEM).lower() or "messaging"
    destination = _pick(found, labels, Role.DESTINATION)
    address = _address(found, labels)
    queue = Identity(
        kind=NodeKind.QUEUE,
        engine=system,
        destination=destination,
        address=address,
        scope="" if destination else _scope(caller, address),
    )
    operation = _pick(found, labels, Role.OPERATION).lower()
    if found.family.metrics[0][1].startswith("messaging_process") or operation in {
        "process",
        "deliver",
        "receive",
        "poll",
    }:
        return EdgeKey(queue, caller, system, EdgeKind.ASYNC)
    if operation in {"send", "publish"}:
        return EdgeKey(caller, queue, system, EdgeKind.ASYNC)
    return None


def _between(key: EdgeKey) -> Hashable:
    return key.source, key.target


def _service(found: Found, labels: Mapping[str, str]) -> Identity | None:
    name = namespace = ""
    for label in found.by_role.get(Role.SERVICE, ()):
        name = _clean(labels.get(label, ""))
        if name and label in {"job", "exported_job"} and "/" in name:
            namespace, _, name = name.rpartition("/")  # OpenTelemetry writes service.namespace/service.name
        if name:
            break
    if not name:
        return None
    return Identity(
        name=name,
        namespace=_pick(found, labels, Role.NAMESPACE) or namespace,
        workload=_pick(found, labels, Role.WORKLOAD),
    )


def _pick(found: Found, labels: Mapping[str, str], role: Role) -> str:
    """The first label of a role that says something."""
    for label in found.by_role.get(role, ()):
        if value := _clean(labels.get(label, "")):
            return value
    return ""


def _clean(text: str) -> str:
    """A foreign name, cut; whatever it holds stays text and is escaped where it is shown."""
    return text.strip()[:_LONGEST_NAME]


def _address(found: Found, labels: Mapping[str, str]) -> str:
    host, port = _pick(found, labels, Role.ADDRESS), _pick(found, labels, Role.PORT)
    if ":" in host and not host.startswith("[") and host.count(":") > 1:
        host = f"[{host}]"
    return f"{host}:{port}" if host and port else host


def _scope(caller: Identity, address: str) -> str:
    """Ties a nameless or loopback peer to its caller."""
    alone = not address or address.lower().removeprefix("[").startswith(_LOOPBACK)
    return f"{caller.namespace or '-'}/{caller.name}" if alone else ""


def _outcome(found: Found, labels: Mapping[str, str]) -> Outcome:
    status = _pick(found, labels, Role.STATUS)
    if status:
        return status_outcome(status, grpc=found.family.protocol == "grpc")
    if _pick(found, labels, Role.ERROR).lower() not in {"", "none"}:
        return Outcome.FAILED
    return Outcome.SUCCESS if found.family.silence_is_success else Outcome.UNTOLD


def status_outcome(status: str, *, grpc: bool = False) -> Outcome:
    """The outcome of an HTTP status (also 5xx, 2xx), a gRPC code by name or number, or a word."""
    word = status.lower().replace("_", "") if grpc else status.lower()
    if grpc and not (len(word) == 3 and word[0].isdigit()):
        if word in _GRPC_OK:
            return Outcome.SUCCESS
        return Outcome.FAILED if word in _GRPC_FAILED else Outcome.CALLER_ERROR
    if word in _FAILED_WORDS or word in {"0", "-"}:
        return Outcome.FAILED
    if len(word) == 3 and word[0] in "12345":
        return {"5": Outcome.FAILED, "4": Outcome.CALLER_ERROR}.get(word[0], Outcome.SUCCESS)
    return Outcome.SUCCESS if word in _GOOD_WORDS else Outcome.UNTOLD
