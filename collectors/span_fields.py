"""The same field of many spans at once: places in a body as arrays, bytes gathered by numpy.

Places may lie beyond a span or the body: what is read there is meaningless but harmless, for a walk only moves
forward and counts only if it ends exactly where its span ends. Source: protobuf encoding guide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

LOST = 1 << 40  # a step that leads out of any body
STATUS_TAG, ATTRIBUTE_TAG = 0x7A, 0x4A
_FLAGS_TAG = 0x85
_COUNTS = (0x50, 0x60, 0x70)  # how many attributes, events and links the SDK dropped

_DELIMITED = np.zeros(256, bool)
_DELIMITED[[ATTRIBUTE_TAG, 0x5A, 0x6A, STATUS_TAG]] = True  # attributes, events, links, status


def octets_of(body: bytes) -> U8:
    """The bytes of a body."""
    return np.frombuffer(body, np.uint8)


def octet(octets: U8, at: I64) -> U8:
    """One byte at each place."""
    found: U8 = octets.take(at, mode="clip")
    return found


def records(body: bytes, at: I64, shape: np.dtype[np.void]) -> NDArray[np.void]:
    """A record at each place, copied out. Places too near to the end of the body yield what lies before them."""
    size = shape.itemsize
    if len(body) < size:
        return np.zeros(len(at), shape)
    windows = np.ndarray((len(body) - size + 1,), f"V{size}", body, 0, (1,))
    found: NDArray[np.void] = windows[np.minimum(at, len(windows) - 1)].view(shape)
    return found


def delimited(octets: U8, at: I64) -> I64:
    """Bytes from a tag to the end of its length-delimited content; lengths of three bytes and more are LOST."""
    low = octet(octets, at + 1).astype(np.int64)
    if not (low > 127).any():
        return low + 2
    high = octet(octets, at + 2).astype(np.int64)
    long = np.where(high < 128, (low & 127) + (high << 7) + 3, LOST)
    return np.where(low < 128, low + 2, long)


def content(octets: U8, at: I64) -> I64:
    """Where the content of the length-delimited field at each place begins (lengths of one or two bytes)."""
    found: I64 = at + 2 + (octet(octets, at + 1) > 127)
    return found


def step(octets: U8, at: I64, tag: U8) -> I64:
    """The size of a span's field 9 to 16 at each place; other fields are LOST."""
    size = delimited(octets, at)
    usual = _DELIMITED.take(tag)
    if not usual.all():
        second = octet(octets, at + 1)
        size[~usual] = LOST
        size[np.isin(tag, _COUNTS) & (second < 128)] = 2
        size[(tag == _FLAGS_TAG) & (second == 1)] = 6
    return size
