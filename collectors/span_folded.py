"""How many names are told apart, and how many more were folded into one, without keeping them.

Linear counting (Whang, Vander-Zanden, Taylor 1990): each name sets one bit of a map; the share of bits that stay
zero tells how many names there were, within a few per cent as long as there are no more than about five a bit.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass

_ODD = 0x9E3779B1  # 2^32 / golden ratio
_MINUTE = 1 << 16  # bits per kind and step: good for 300,000 names
FEW = 1 << 11  # bits for one caller's hosts: good for 10,000

_SENTENCES = {
    "services": "About {:,} services more than can be told apart are counted as “other services”.",
    "versions": "About {:,} versions of services more than can be told apart are counted as “other”.",
    "hosts": "About {:,} hosts more than can be told apart are counted as “other hosts”.",
    "databases": "About {:,} databases more than can be told apart are counted as “other databases”.",
    "caches": "About {:,} caches more than can be told apart are counted as “other caches”.",
    "queues": "About {:,} queues more than can be told apart are counted as “other queues”.",
    "protocols": "About {:,} protocols more than can be told apart are counted as “other”.",
    "edges": "About {:,} edges more than can be told apart lead to “other” services, hosts or stores.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many parties, (service, version) pairs and edges are told apart; `_each`: of one service or caller.

    Edges beyond `edges` still tell their sources apart, up to half as many again.
    """

    parties: int = 12_000
    versions: int = 12_000
    versions_each: int = 100
    hosts_each: int = 200
    stores_each: int = 1_000
    edges: int = 40_000


class Distinct:
    """An estimate of the number of distinct texts added."""

    def __init__(self, bits: int = _MINUTE) -> None:
        self._map = bytearray(bits // 8)

    def add(self, text: str) -> None:
        """Note a text, new or not."""
        spread = (
            zlib.crc32(text.encode("utf-8", "replace")) * _ODD & 0xFFFFFFFF
        )  # a checksum alone tiles too well
        bit = spread * len(self._map) * 8 >> 32
        self._map[bit >> 3] |= 1 << (bit & 7)

    def merge(self, other: Distinct) -> None:
        """Add all that another one (of equal size) was told."""
        both = int.from_bytes(self._map, "little") | int.from_bytes(other._map, "little")
        self._map[:] = both.to_bytes(len(self._map), "little")

    def count(self) -> int:
        """About how many there were; a full map tells the least it can stand for."""
        bits = len(self._map) * 8
        zeros = bits - int.from_bytes(self._map, "little").bit_count()
        return round(bits * math.log(bits / max(zeros, 1)))


class Folded:
    """Names that were folded into "other", by kind, in the steps that are kept."""

    def __init__(self) -> None:
        self.step = 0
        self.events: Counter[str] = Counter()  # for totals; whoever reads them empties it
        self._steps: dict[int, dict[str, Distinct]] = {}

    def add(self, kind: str, name: str) -> None:
        """One more name of a kind in the present step."""
        self.events[f"folded_{kind}"] += 1
        self._steps.setdefault(self.step, {}).setdefault(kind, Distinct()).add(name)

    def forget(self, before: int) -> None:
        """Drop steps older than `before`."""
        for step in [step for step in self._steps if step < before]:
            del self._steps[step]

    def notices(self) -> list[str]:
        """A sentence for each kind of which anything was folded in the kept steps."""
        found: dict[str, Distinct] = {}
        for kinds in self._steps.values():
            for kind, names in kinds.items():
                found.setdefault(kind, Distinct()).merge(names)
        return [text.format(found[kind].count()) for kind, text in _SENTENCES.items() if kind in found]
