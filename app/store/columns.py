"""Columns of counts as few bytes: the narrowest unsigned type, bytes transposed, NaN in a bit mask.

Whole numbers come back exactly. A column with fractions (rates over scrape intervals, spread histograms) is
kept in steps of 1/SCALE, a power of two, so that its whole numbers stay exact and sums of stored values are
exact. What fits neither (negative, infinite, beyond 2**53) is kept as float64.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.errors import StoreError
from app.model.series import BUCKETS, Floats

SCALE = 1024
_EXACT = float(2**53)
_UNSIGNED = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8"))
_KNOWN = {dtype.str: dtype for dtype in (*_UNSIGNED, np.dtype("<f8"))}


class Spec(msgspec.Struct, array_like=True):
    """How one column lies in the buffer: dtype, scale, rows, whether a null mask follows."""

    dtype: str
    scale: int
    rows: int
    nulls: bool


class Reader:
    """Walks a buffer of columns in the order they were packed."""

    def __init__(self, raw: bytes, offset: int) -> None:
        self._raw, self._at = raw, offset

    def take(self, size: int) -> bytes:
        """The next bytes. Raises StoreError when there are not so many."""
        piece = self._raw[self._at : self._at + size]
        if len(piece) != size:
            raise StoreError("a stored column is cut off")
        self._at += size
        return piece

    def floats(self, spec: Spec) -> Floats:
        """The next column as float64, NaN where it was null."""
        dtype = _KNOWN.get(spec.dtype)
        if dtype is None:
            raise StoreError(f"a stored column has the unknown type {spec.dtype!r}")
        planes = np.frombuffer(self.take(spec.rows * dtype.itemsize), np.uint8)
        packed = (
            np.ascontiguousarray(planes.reshape(dtype.itemsize, spec.rows).T).view(dtype).reshape(spec.rows)
        )
        values = packed.astype(np.float64)
        if spec.scale != 1:
            values /= spec.scale
        if spec.nulls:
            mask = np.frombuffer(self.take((spec.rows + 7) // 8), np.uint8)
            values[np.unpackbits(mask, count=spec.rows).astype(bool)] = np.nan
        return values

    def whole(self, spec: Spec) -> NDArray[np.int64]:
        """The next column as whole numbers, for columns that never are anything else."""
        if spec.nulls or spec.scale != 1:
            raise StoreError("a stored column of whole numbers has fractions or gaps")
        return self._packed(spec).astype(np.int64)

    def _packed(self, spec: Spec) -> NDArray[Any]:
        dtype = _KNOWN.get(spec.dtype)
        if dtype is None:
            raise StoreError(f"a stored column has the unknown type {spec.dtype!r}")
        raw = self.take(spec.rows * dtype.itemsize)
        if dtype.itemsize == 1:
            return np.frombuffer(raw, dtype)
        planes = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, spec.rows)
        return np.ascontiguousarray(planes.T).view(dtype).reshape(spec.rows)


def pack(values: Floats) -> tuple[Spec, bytes]:
    """A column of n floats as (spec, bytes)."""
    missing = np.isnan(values)
    nulls = bool(missing.any())
    filled = np.where(missing, 0.0, values) if nulls else values
    dtype, scale, stored = _narrowest(filled)
    planes = np.ascontiguousarray(stored.astype(dtype)).view(np.uint8).reshape(len(values), dtype.itemsize).T
    mask = np.packbits(missing).tobytes() if nulls else b""
    return Spec(dtype.str, scale, len(values), nulls), planes.tobytes() + mask


def _narrowest(values: Floats) -> tuple[np.dtype[Any], int, Floats]:
    if not len(values):
        return _UNSIGNED[0], 1, values
    low, high = float(values.min()), float(values.max())
    whole = bool((np.rint(values) == values).all()) if np.isfinite(high) and np.isfinite(low) else False
    scale = 1 if whole else SCALE
    if low < 0 or not high * scale < _EXACT:
        return _KNOWN["<f8"], 1, values
    stored = values if whole else np.rint(values * scale)
    top = float(stored.max())
    fitting = next(dtype for dtype in _UNSIGNED if top <= np.iinfo(dtype).max)
    return fitting, scale, stored


def flat_cells(histograms: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Histogram rows (n, BUCKETS) as (row * BUCKETS + bucket, count) of the non-zero cells, ascending."""
    flat = np.ascontiguousarray(histograms, np.float64).reshape(-1)
    cells = np.flatnonzero(flat)
    return cells, flat[cells]


def dense(cells: NDArray[np.int64], counts: Floats, rows: int) -> Floats:
    """The inverse of `flat_cells`: shape (rows, BUCKETS)."""
    flat = np.zeros(rows * BUCKETS)
    flat[cells] = counts
    return flat.reshape(rows, BUCKETS)
