"""Prometheus' JSON, decoded by result type into columns; only labels that are asked for are built.

Shapes as recorded from 2.42, 2.53 and 3.5: scalar and string are one pair, a vector has `value`, a matrix
`values`, native histograms come under their own keys in the same list and are counted, not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from app.errors import SourceNonsense
from app.model.series import Floats

NATIVE_IGNORED = "native histograms are not read: expose classic buckets beside them"


class Sample(msgspec.Struct, array_like=True, gc=False):
    """A point: epoch seconds and its value."""

    at: float
    value: float


class TextSample(msgspec.Struct, array_like=True, gc=False):
    """The same with its value as text: what +Inf and every string result need."""

    at: float
    value: str


class _Head(msgspec.Struct, gc=False):
    """Everything of an answer but the data, which waits for its type."""

    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = msgspec.field(default="", name="errorType")
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None


class _Kind(msgspec.Struct, gc=False):
    result_type: str = msgspec.field(default="", name="resultType")
    result: msgspec.Raw = msgspec.Raw(b"[]")


_HEAD = msgspec.json.Decoder(_Head)
_KIND = msgspec.json.Decoder(_Kind)
_PAIR = msgspec.json.Decoder(TextSample)
_NAMES = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class Table:
    """Series as columns: one text column per asked label, values of shape (series, times), times in epoch seconds.

    A cell without a point is NaN, as is a point that said NaN. `natives` counts series left out.
    """

    labels: dict[str, list[str]]
    values: Floats
    times: Floats
    natives: int = 0

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Answered:
    """The data of one good answer, still bytes, with what was said about it."""

    data: bytes
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiError:
    """Prometheus' own error envelope: its type (bad_data, execution, timeout …) and its words."""

    type: str
    message: str
    warnings: tuple[str, ...] = field(default=())


def open_envelope(body: bytes) -> Answered | ApiError:
    """The outer layer of any API answer. Raises SourceNonsense when it is none."""
    try:
        head = _HEAD.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise SourceNonsense(f"the answer is not Prometheus' JSON ({_shown(body)})") from error
    warnings = tuple(w[:500] for w in head.warnings or () if not w.startswith("PromQL info"))
    if head.status == "error":
        return ApiError(head.error_type[:50], head.error[:500], warnings)
    if head.status != "success":
        raise SourceNonsense(f"the answer is not Prometheus' JSON ({_shown(body)})")
    return Answered(bytes(head.data), warnings)


def names(answered: Answered) -> list[str]:
    """A list of label names or values."""
    try:
        return _NAMES.decode(answered.data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SourceNonsense("a list of names was asked for and something else came") from error


def table(answered: Answered, labels: Sequence[str], times: Floats | None = None) -> Table:
    """A vector or matrix as a Table with the given label columns; a scalar is one series without labels.

    `times` is the grid of a range query (epoch seconds, ascending); a vector brings its own single time.
    Raises SourceNonsense for a string or an unknown type.
    """
    wanted = tuple(labels)
    try:
        kind = _KIND.decode(answered.data)
        if kind.result_type == "scalar":
            return _scalar(_PAIR.decode(kind.result), wanted)
        if kind.result_type not in {"vector", "matrix"}:
            raise SourceNonsense(f"unexpected result type {kind.result_type[:40]!r}")
        series = _decode(bytes(kind.result), wanted)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise SourceNonsense(f"the result cannot be read: {str(error)[:200]}") from error
    if kind.result_type == "vector":
        return _vector(series, wanted)
    return _matrix(series, wanted, times)


def sample_times(answered: Answered) -> list[Floats]:
    """Times of the samples of each series of a matrix (epoch seconds): how often a target is scraped."""
    try:
        series = _decode(bytes(_KIND.decode(answered.data).result), ())
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise SourceNonsense(f"the result cannot be read: {str(error)[:200]}") from error
    return [np.array([point.at for point in one.values or ()]) for one in series]


@lru_cache(maxsize=64)
def _decoders(labels: tuple[str, ...]) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """Decoders that build only `labels`: the quick one reads numbers, the other text (for +Inf)."""
    fields = [(f"l{i}", str, "") for i in range(len(labels))]
    metric = msgspec.defstruct(
        "Metric", fields, rename={f"l{i}": label for i, label in enumerate(labels)}, gc=False, frozen=True
    )
    made = []
    for point in (Sample, TextSample):
        series = msgspec.defstruct(
            "Series",
            [
                ("metric", metric, msgspec.field(default_factory=metric)),
                ("value", point | None, None),
                ("values", list[point] | None, None),  # type: ignore[valid-type]
            ],
            gc=False,
        )
        made.append(msgspec.json.Decoder(list[series], strict=False))  # type: ignore[valid-type]
    return made[0], made[1]


def _decode(result: bytes, labels: tuple[str, ...]) -> list[Any]:
    quick, textual = _decoders(labels)
    try:
        found: list[Any] = quick.decode(result)
        return found
    except msgspec.ValidationError:
        pass
    slow: list[Any] = textual.decode(result)
    for one in slow:
        one.value = one.value and Sample(one.value.at, float(one.value.value))
        one.values = one.values and [Sample(point.at, float(point.value)) for point in one.values]
    return slow


def _columns(series: list[Any], labels: tuple[str, ...]) -> dict[str, list[str]]:
    return {label: [getattr(one.metric, f"l{i}") for one in series] for i, label in enumerate(labels)}


def _scalar(pair: TextSample, labels: tuple[str, ...]) -> Table:
    return Table({label: [""] for label in labels}, np.array([[float(pair.value)]]), np.array([pair.at]))


def _vector(series: list[Any], labels: tuple[str, ...]) -> Table:
    kept = [one for one in series if one.value is not None]
    values = np.array([one.value.value for one in kept], dtype=np.float64).reshape(-1, 1)
    times = np.array([kept[0].value.at if kept else 0.0])
    return Table(_columns(kept, labels), values, times, len(series) - len(kept))


def _matrix(series: list[Any], labels: tuple[str, ...], times: Floats | None) -> Table:
    """Points placed on the grid; a gap stays NaN."""
    kept = [one for one in series if one.values]
    lengths = [len(one.values) for one in kept]
    at = np.fromiter((point.at for one in kept for point in one.values), np.float64, sum(lengths))
    value = np.fromiter((point.value for one in kept for point in one.values), np.float64, sum(lengths))
    grid = np.unique(at) if times is None else times
    cells = np.full((len(kept), len(grid)), np.nan)
    if len(at):
        column = np.clip(np.searchsorted(grid, at - 1e-3), 0, len(grid) - 1)
        on_grid = np.abs(grid[column] - at) < 1e-2
        row = np.repeat(np.arange(len(kept)), lengths)
        cells[row[on_grid], column[on_grid]] = value[on_grid]
    return Table(_columns(kept, labels), cells, grid, len(series) - len(kept))


def _shown(body: bytes) -> str:
    """The first characters of a foreign body, printable."""
    text = body[:80].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip() or "empty"
