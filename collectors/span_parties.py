"""The parties and edges seen in spans, under small numbers, so that columns can speak of them.

Numbers are handed out for the life of one register; `full` says when it is time for a new one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from app.model.fleet import Identity, NodeKind
from collectors.span_fields import I64
from collectors.span_peers import Role

MAX_PARTIES = 20_000
MAX_EDGES = 20_000
_LOOK_STEPS = 6  # a row is looked at closely once a minute
_MAX_EXTERNALS = 100  # distinct untraced hosts of one caller; what is above becomes one node

USER = Identity(name="user", kind=NodeKind.CLIENT)


class Parties:
    """Identity <-> number, and which untraced peer turned out to be which service (aliases)."""

    def __init__(self) -> None:
        self.identities: list[Identity] = []
        self._numbers: dict[Identity, int] = {}
        self._pods: dict[Identity, int] = {}
        self._versions: dict[tuple[int, str], int] = {}
        self.version_rows: list[tuple[int, str]] = []
        self._services: dict[str, list[int]] = defaultdict(list)
        self._aliases: dict[int, int] = {}
        self._externals: Counter[int] = Counter()
        self.user = self._number(USER, USER)

    @property
    def full(self) -> bool:
        """Whether so many parties came that this register should be replaced."""
        return max(len(self.identities), len(self.version_rows)) >= MAX_PARTIES

    def service(self, identity: Identity) -> int:
        """The number of a service; pods are kept as a witness to the workload, not as parties of their own."""
        number = self._pods.get(identity)
        if number is None:
            key = replace(identity, pod="", pod_uid="")
            number = self._numbers.get(key)
            if number is None:
                number = self._number(key, identity)
                self._services[identity.name].append(number)
            self.identities[number] = identity  # the newest pod is the likeliest to exist
            if len(self._pods) >= MAX_PARTIES:
                self._pods.clear()
            self._pods[identity] = number
        return number

    def version_row(self, party: int, version: str) -> int:
        """The number of (service, version): a row of node traffic."""
        row = self._versions.get((party, version))
        if row is None:
            row = self._versions[(party, version)] = len(self.version_rows)
            self.version_rows.append((party, version))
        return row

    def peer(self, identity: Identity, caller: int) -> int:
        """The number of a store, queue or untraced peer; display name and detail stay with the first that has one."""
        key = _key(identity)
        number = self._numbers.get(key)
        if number is None:
            if identity.kind is NodeKind.EXTERNAL:
                self._externals[caller] += 1
                if self._externals[caller] > _MAX_EXTERNALS:
                    return self._others(caller)
            return self._number(key, identity)
        known = self.identities[number]
        if (identity.alias and not known.alias) or (identity.detail and not known.detail):
            self.identities[number] = replace(
                known, alias=known.alias or identity.alias, detail=known.detail or identity.detail
            )
        return number

    def scope(self, party: int) -> str:
        """How a peer that only this caller can name is tied to it."""
        found = self.identities[party]
        return f"{found.namespace}/{found.name}" if found.namespace else found.name

    def answered(self, peer: int, service: int) -> None:
        """A call that named `peer` was answered by `service`: later unanswered calls resolve to it."""
        if self.identities[peer].kind is NodeKind.EXTERNAL:
            self._aliases[peer] = service

    def resolved(self) -> I64:
        """For each party the one it really is: itself, or the service behind an untraced peer."""
        found = np.arange(len(self.identities), dtype=np.int64)
        for number, identity in enumerate(self.identities):
            if identity.kind is NodeKind.EXTERNAL:
                service = self._aliases.get(number, self._namesake(identity))
                found[number] = number if service is None else service
        return found

    def is_service(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each party whether it is a traced service."""
        return np.array([identity.kind is NodeKind.SERVICE for identity in self.identities], bool)

    def _namesake(self, identity: Identity) -> int | None:
        """peer.service is by definition the peer's service.name; it must fit exactly one service."""
        found = self._services.get(identity.name, []) if identity.name else []
        if identity.namespace:
            found = [number for number in found if self.identities[number].namespace == identity.namespace]
        return found[0] if len(found) == 1 else None

    def _others(self, caller: int) -> int:
        others = Identity(
            name="other hosts", alias="other hosts", kind=NodeKind.EXTERNAL, scope=self.scope(caller)
        )
        number = self._numbers.get(others)
        return self._number(others, others) if number is None else number

    def _number(self, key: Identity, identity: Identity) -> int:
        number = self._numbers[key] = len(self.identities)
        self.identities.append(identity)
        return number


def _key(identity: Identity) -> Identity:
    if identity.kind is NodeKind.EXTERNAL:
        return identity
    address = "" if identity.kind is NodeKind.QUEUE and identity.destination else identity.address
    return replace(identity, alias="", detail="", address=address)


class EdgeRows:
    """(source, target, role) <-> row, with the protocol each row turned out to speak.

    Roles: CALL for calls, SEND, RECEIVE and PROCESS for queues, SERVE for a call that passed through a queue
    nobody named.
    """

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self.source: list[int] = []
        self.target: list[int] = []
        self.role: list[int] = []
        self.protocol: list[str] = []
        self._looked: list[int] = []  # step in which a call of the row was last looked at closely

    def __len__(self) -> int:
        return len(self.source)

    @property
    def full(self) -> bool:
        """Whether so many edges came that the register should be replaced."""
        return len(self.source) >= MAX_EDGES

    def row(self, source: int, target: int, role: Role, protocol: str) -> int:
        """The row of one edge of known protocol."""
        row = self._row((source << 34) | (target << 4) | role)
        self.protocol[row] = self.protocol[row] or protocol
        return row

    def learn(self, row: int, protocol: str) -> None:
        """Note what an edge was seen to speak; "" tells nothing."""
        self.protocol[row] = protocol or self.protocol[row]

    def _row(self, code: int) -> int:
        row = self._rows.get(code)
        if row is None:
            row = self._rows[code] = len(self.source)
            self.source.append(code >> 34)
            self.target.append((code >> 4) & 0x3FFFFFFF)
            self.role.append(code & 15)
            self.protocol.append("")
            self._looked.append(-_LOOK_STEPS)
        return row

    def unlooked(self, rows: I64, step: I64) -> list[tuple[int, int]]:
        """(row, index of one occurrence) of rows that were not looked at for a minute of their own time."""
        found = []
        for row, at in self.one_of_each(rows):
            if self._looked[row] + _LOOK_STEPS <= step[at]:
                self._looked[row] = int(step[at])
                found.append((row, at))
        return found

    def one_of_each(self, rows: I64) -> list[tuple[int, int]]:
        """(row, index of one occurrence) of each distinct row, without sorting."""
        at = np.full(len(self), -1)
        at[rows] = np.arange(len(rows))
        distinct = np.flatnonzero(at >= 0)
        return list(zip(distinct.tolist(), at[distinct].tolist(), strict=True))

    def rows(self, source: I64, target: I64, role: I64) -> I64:
        """Rows of many edges; Python is entered once per distinct edge."""
        codes, which = np.unique((source << 34) | (target << 4) | role, return_inverse=True)
        return np.array([self._row(code) for code in codes.tolist()], np.int64)[which]
