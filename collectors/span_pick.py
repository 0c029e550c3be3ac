"""The wanted attributes of many undecoded spans at once: keys are compared by numpy, only hits are cut out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collectors.otlp_wire import Wanted
from collectors.span_fields import ATTRIBUTE_TAG, I64, U8, content, octet, octets_of, records, step

_HEAD = np.dtype([("tag", "u1"), ("length", "u1"), ("letters", "<u4")])  # how a KeyValue begins
_SHORTEST = 4  # letters
_KEY_TAG = 0x0A

Found = tuple[I64, I64, I64]  # row, begin and end of attributes


def can_pick(wanted: Wanted) -> bool:
    """Whether all names are long enough to be told by their first letters."""
    return min(map(len, wanted.names), default=0) >= _SHORTEST


def pick(body: bytes, at: I64, ends: I64, wanted: Wanted) -> list[tuple[bytes, ...]]:
    """For each span its wanted KeyValues, undecoded and in their order; it was scanned and its tail begins at `at`."""
    octets, heads, found = octets_of(body), _codes(wanted), []
    spans, rows = len(at), np.arange(len(at))
    while True:
        going = at < ends
        rows, at, ends = rows[going], at[going], ends[going]
        if not len(rows):
            break
        tag = octet(octets, at)
        after = at + step(octets, at, tag)
        found.append(_hits(body, octets, rows, at, after, tag, heads))
        at = after
    return _cut(body, spans, found, wanted)


def _codes(wanted: Wanted) -> NDArray[np.uint64]:
    """(length, first letters) of the wanted names as sorted numbers."""
    return np.array(
        sorted(int.from_bytes(bytes((len(name),)) + name[:4].encode(), "little") for name in wanted.names),
        np.uint64,
    )


def _hits(
    body: bytes, octets: U8, rows: I64, at: I64, after: I64, tag: U8, heads: NDArray[np.uint64]
) -> Found:
    """Those attributes whose keys begin like wanted ones; keys that are not first in their KeyValue count as well."""
    begins = content(octets, at)
    head = records(body, begins, _HEAD)
    code = head["letters"].astype(np.uint64) << np.uint64(8) | head["length"]
    place = np.minimum(np.searchsorted(heads, code), len(heads) - 1)
    likely = (tag == ATTRIBUTE_TAG) & ((heads[place] == code) | (head["tag"] != _KEY_TAG))
    # Near the end of the body a head lies elsewhere than it should: there, every attribute counts as likely.
    likely |= (tag == ATTRIBUTE_TAG) & (begins > len(body) - _HEAD.itemsize)
    return rows[likely], begins[likely], after[likely]


def _cut(body: bytes, spans: int, found: list[Found], wanted: Wanted) -> list[tuple[bytes, ...]]:
    if not found:
        return [()] * spans
    rows, begins, ends = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.argsort(rows, kind="stable")
    pairs = [body[i:j] for i, j in zip(begins[order].tolist(), ends[order].tolist(), strict=True)]
    last = np.cumsum(np.bincount(rows, minlength=spans))
    places = zip([0, *last[:-1].tolist()], last.tolist(), strict=True)
    if all(map(wanted.takes, set(pairs))):
        return [tuple(pairs[i:j]) for i, j in places]
    return [tuple(filter(wanted.takes, pairs[i:j])) for i, j in places]
