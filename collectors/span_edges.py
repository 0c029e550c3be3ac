"""The edges seen in spans, under small numbers; those that find no room are folded, not dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collectors.span_fields import I64
from collectors.span_parties import Parties
from collectors.span_peers import Role

_MAX_PROTOCOLS = 1_000
_LOOK_STEPS = 6  # a row is looked at closely once a minute


class EdgeRows:
    """(source, target, role) <-> row, with the protocol each row turned out to speak.

    Roles: CALL for calls, SEND, RECEIVE and PROCESS for queues, SERVE for a call that passed through a queue
    nobody named.
    """

    def __init__(self, parties: Parties) -> None:
        self.source: list[int] = []
        self.target: list[int] = []
        self.role: list[int] = []
        self.protocol: list[str] = []
        self._parties = parties
        self._rows: dict[int, int] = {}
        self._protocols: set[str] = set()
        self._looked: list[int] = []  # step in which a call of the row was last looked at closely

    def __len__(self) -> int:
        return len(self.source)

    @property
    def full(self) -> bool:
        """Whether newcomers would be folded."""
        return len(self) >= self._parties.limits.edges

    def row(self, source: int, target: int, role: Role, protocol: str) -> int:
        """The row of one edge of known protocol."""
        row = self._row(_code(source, target, role))
        if not self.protocol[row]:
            self.learn(row, protocol)
        return row

    def learn(self, row: int, protocol: str) -> None:
        """Note what an edge was seen to speak; "" tells nothing."""
        if protocol and protocol not in self._protocols:
            if len(self._protocols) >= _MAX_PROTOCOLS:
                self._parties.folded.add("protocols", protocol)
                protocol = "other"
            self._protocols.add(protocol)
        self.protocol[row] = protocol or self.protocol[row]

    def rows(self, source: I64, target: I64, role: I64) -> I64:
        """Rows of many edges; Python is entered once per distinct edge."""
        codes, which = np.unique((source << 34) | (target << 4) | role, return_inverse=True)
        return np.array([self._row(code) for code in codes.tolist()], np.int64)[which]

    def _row(self, code: int) -> int:
        row = self._rows.get(code)
        if row is None:
            row = self._fold(code) if self.full else self._new(code)
        return row

    def _new(self, code: int) -> int:
        row = self._rows[code] = len(self.source)
        self.source.append(code >> 34)
        self.target.append((code >> 4) & 0x3FFFFFFF)
        self.role.append(code & 15)
        self.protocol.append("")
        self._looked.append(-_LOOK_STEPS)
        return row

    def _fold(self, code: int) -> int:
        """The row of the calls to all others of the target's kind, at last of all others of the source's."""
        self._parties.folded.add("edges", str(code))
        source, target, role = code >> 34, (code >> 4) & 0x3FFFFFFF, code & 15
        target = self._parties.other_of(target)
        folded = _code(source, target, role)
        if folded not in self._rows and len(self) >= self._parties.limits.edges * 3 // 2:
            folded = _code(self._parties.other_of(source), target, role)
        found = self._rows.get(folded)
        return self._new(folded) if found is None else found

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

    def compacted(self, rows: Sequence[int], parties: Parties, renamed: I64) -> tuple[EdgeRows, I64]:
        """A register of these rows only, whose parties were `renamed`; old row -> new one (-1 = dropped)."""
        made, row_map = EdgeRows(parties), np.full(len(self), -1, np.int64)
        for row in rows:
            ends = int(renamed[self.source[row]]), int(renamed[self.target[row]])
            row_map[row] = mine = made._new(_code(*ends, self.role[row]))
            made.learn(mine, self.protocol[row])
            made._looked[mine] = self._looked[row]
        return made, row_map


def _code(source: int, target: int, role: int) -> int:
    return (source << 34) | (target << 4) | role
