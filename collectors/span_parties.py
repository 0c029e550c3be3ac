"""The parties seen in spans, under small numbers, so that columns can speak of them.

Numbers are handed out until the register is full. Its owner then has it `compacted`, without those not in use any
more; newcomers that find no room even so are folded into one party per kind ("other services") and counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from app.model.fleet import Identity, NodeKind
from collectors.span_fields import I64, Bools
from collectors.span_folded import FEW, Distinct, Folded, Limits

USER = Identity(name="user", kind=NodeKind.CLIENT)
_OTHER = {
    NodeKind.SERVICE: Identity(name="other services"),
    NodeKind.DATABASE: Identity(kind=NodeKind.DATABASE, engine="other", alias="other databases", scope="all"),
    NodeKind.CACHE: Identity(kind=NodeKind.CACHE, engine="other", alias="other caches", scope="all"),
    NodeKind.QUEUE: Identity(
        kind=NodeKind.QUEUE, engine="messaging", destination="(other)", alias="other queues"
    ),
    NodeKind.EXTERNAL: Identity(kind=NodeKind.EXTERNAL, name="other hosts"),
}


class Parties:
    """Identity <-> number, and which untraced peer turned out to be which service (aliases)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.identities: list[Identity] = []
        self.version_rows: list[tuple[int, str]] = []
        self.folded = Folded()
        self._numbers: dict[Identity, int] = {}
        self._pods: dict[Identity, int] = {}
        self._versions: dict[tuple[int, str], int] = {}
        self._versions_each: Counter[int] = Counter()
        self._services: dict[str, list[int]] = defaultdict(list)
        self._aliases: dict[int, int] = {}
        self._peers_each: Counter[tuple[int, NodeKind]] = Counter()
        self._callers: dict[int, int] = {}  # peer -> the caller whose share it takes
        self._hosts_of: dict[int, Distinct] = {}  # "other hosts" of a caller -> which ones
        self.user = self._number(USER, USER)
        self._others = {self._number(other, other) for other in _OTHER.values()}

    @property
    def full(self) -> bool:
        """Whether newcomers would be folded."""
        return self._crowded or len(self.version_rows) >= self.limits.versions

    @property
    def _crowded(self) -> bool:
        return len(self.identities) >= self.limits.parties

    def service(self, identity: Identity) -> int:
        """The number of a service; pods are kept as a witness to the workload, not as parties of their own."""
        number = self._pods.get(identity)
        if number is None:
            number = self._service(identity)
            if len(self._pods) >= self.limits.parties:
                self._pods.clear()
            self._pods[identity] = number
        return number

    def _service(self, identity: Identity) -> int:
        key = replace(identity, pod="", pod_uid="")
        number = self._numbers.get(key)
        if number is None:
            if self._crowded:
                self.folded.add("services", f"{key.namespace}/{key.name}")
                return self._numbers[_OTHER[NodeKind.SERVICE]]
            number = self._number(key, identity)
            self._services[identity.name].append(number)
        self.identities[number] = identity  # the newest pod is the likeliest to exist
        return number

    def version_row(self, party: int, version: str) -> int:
        """The number of (service, version): a row of node traffic."""
        row = self._versions.get((party, version))
        if row is None and version and self._versions_full(party):
            self.folded.add("versions", f"{party} {version}")
            version = "other"
            row = self._versions.get((party, version))
        if row is None:
            row = self._versions[(party, version)] = len(self.version_rows)
            self.version_rows.append((party, version))
            self._versions_each[party] += 1
        return row

    def _versions_full(self, party: int) -> bool:
        each = self._versions_each[party] >= self.limits.versions_each
        return each or len(self.version_rows) >= self.limits.versions

    def peer(self, identity: Identity, caller: int) -> int:
        """The number of a store, queue or untraced peer; display name and detail stay with the first that has one."""
        key = _key(identity)
        number = self._numbers.get(key)
        if number is None:
            return self._new_peer(key, identity, caller)
        known = self.identities[number]
        if (identity.alias and not known.alias) or (identity.detail and not known.detail):
            self.identities[number] = replace(
                known, alias=known.alias or identity.alias, detail=known.detail or identity.detail
            )
        return number

    def _new_peer(self, key: Identity, identity: Identity, caller: int) -> int:
        external = identity.kind is NodeKind.EXTERNAL
        share = self._peers_each[caller, identity.kind]
        if self._crowded:
            self.folded.add(_PLURAL[identity.kind], repr(key))
            return self._numbers[_OTHER[identity.kind]]
        if share >= (self.limits.hosts_each if external else self.limits.stores_each):
            self.folded.add(_PLURAL[identity.kind], repr(key))
            return self._other_hosts(caller, key) if external else self._numbers[_OTHER[identity.kind]]
        number = self._number(key, identity)
        self._charge(number, caller)
        return number

    def other_of(self, number: int) -> int:
        """The party into which one like this is folded."""
        other = _OTHER.get(self.identities[number].kind)
        return number if other is None else self._numbers[other]

    def is_other(self, number: int) -> bool:
        """Whether this is a party into which others were folded."""
        return number in self._others

    def scope(self, party: int) -> str:
        """How a peer that only this caller can name is tied to it."""
        found = self.identities[party]
        return f"{found.namespace}/{found.name}" if found.namespace else found.name

    def answered(self, peer: int, service: int) -> None:
        """A call that named `peer` was answered by `service`: later unanswered calls resolve to it."""
        if self.identities[peer].kind is NodeKind.EXTERNAL and not {peer, service} & self._others:
            self._aliases[peer] = service

    def resolved(self) -> I64:
        """For each party the one it really is: itself, or the service behind an untraced peer."""
        found = np.arange(len(self.identities), dtype=np.int64)
        for number, identity in enumerate(self.identities):
            if identity.kind is NodeKind.EXTERNAL:
                service = self._aliases.get(number, self._namesake(identity))
                found[number] = number if service is None else service
        return found

    def is_service(self) -> Bools:
        """For each party whether it is a traced service."""
        return np.array([identity.kind is NodeKind.SERVICE for identity in self.identities], bool)

    def told(self, number: int) -> Identity:
        """A party as a witness tells it: "other hosts" say how many."""
        hosts = self._hosts_of.get(number)
        found = self.identities[number]
        return found if hosts is None else replace(found, detail=f"about {hosts.count():,} hosts")

    def compacted(self, parties: Iterable[int], version_rows: Iterable[int]) -> tuple[Parties, I64, I64]:
        """A register of these (and what they need) only; old number -> new one (-1 = dropped) of both."""
        made, rows = Parties(self.limits), sorted(set(version_rows))
        made.folded = self.folded
        kept = {*parties, *(self.version_rows[row][0] for row in rows)}
        kept |= {peer for peer, service in self._aliases.items() if service in kept}
        keys = {number: key for key, number in self._numbers.items()}
        renamed = np.full(len(self.identities), -1, np.int64)
        lasting = range(
            len(made.identities)
        )  # the user and the others have the same numbers in all registers
        renamed[lasting] = lasting
        for number in sorted(kept.difference(lasting)):
            renamed[number] = made._adopt(self, number, keys[number])
        for peer, service in self._aliases.items():
            if min(renamed[peer], renamed[service]) >= 0:
                made._aliases[int(renamed[peer])] = int(renamed[service])
        for peer, caller in self._callers.items():
            if min(renamed[peer], renamed[caller]) >= 0:
                made._charge(int(renamed[peer]), int(renamed[caller]))
        row_map = np.full(len(self.version_rows), -1, np.int64)
        for row in rows:
            party, version = self.version_rows[row]
            row_map[row] = made.version_row(int(renamed[party]), version)
        return made, renamed, row_map

    def _adopt(self, old: Parties, number: int, key: Identity) -> int:
        identity = old.identities[number]
        mine = self._number(key, identity)
        if number in old._others:
            self._others.add(mine)
        elif identity.kind is NodeKind.SERVICE:
            self._services[identity.name].append(mine)
        if number in old._hosts_of:
            self._hosts_of[mine] = old._hosts_of[number]
        return mine

    def _charge(self, peer: int, caller: int) -> None:
        self._callers[peer] = caller
        self._peers_each[caller, self.identities[peer].kind] += 1

    def _namesake(self, identity: Identity) -> int | None:
        """peer.service is by definition the peer's service.name; it must fit exactly one service."""
        found = self._services.get(identity.name, []) if identity.name else []
        if identity.namespace:
            found = [number for number in found if self.identities[number].namespace == identity.namespace]
        return found[0] if len(found) == 1 else None

    def _other_hosts(self, caller: int, key: Identity) -> int:
        scope = self.scope(caller)
        others = Identity(name=f"other hosts ← {scope}", kind=NodeKind.EXTERNAL, scope=scope)
        number = self._numbers.get(others)
        if number is None:
            number = self._number(others, others)
            self._others.add(number)
            self._hosts_of[number] = Distinct(FEW)
        self._hosts_of[number].add(repr(key))
        return number

    def _number(self, key: Identity, identity: Identity) -> int:
        number = self._numbers[key] = len(self.identities)
        self.identities.append(identity)
        return number


_PLURAL = {
    NodeKind.SERVICE: "services",
    NodeKind.DATABASE: "databases",
    NodeKind.CACHE: "caches",
    NodeKind.QUEUE: "queues",
    NodeKind.EXTERNAL: "hosts",
}


def _key(identity: Identity) -> Identity:
    if identity.kind is NodeKind.EXTERNAL:
        return identity
    address = "" if identity.kind is NodeKind.QUEUE and identity.destination else identity.address
    return replace(identity, alias="", detail="", address=address)
