"""Model dataclasses as bytes: msgpack (numpy columns as raw bytes) under zstd, behind a version byte."""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import zstandard

from app.errors import StoreError

_VERSION = b"\x01"
_LEVEL = 3
_local = threading.local()

T = TypeVar("T")


def compress(raw: bytes) -> bytes:
    """zstd level 3."""
    if not hasattr(_local, "packer"):
        _local.packer = zstandard.ZstdCompressor(level=_LEVEL)
    packed: bytes = _local.packer.compress(raw)
    return packed


def decompress(packed: bytes) -> bytes:
    """The inverse of `compress`. Raises StoreError when the bytes are broken."""
    if not hasattr(_local, "unpacker"):
        _local.unpacker = zstandard.ZstdDecompressor()
    try:
        raw: bytes = _local.unpacker.decompress(packed)
    except zstandard.ZstdError as error:
        raise StoreError("a stored blob is broken") from error
    return raw


def _from_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()
    raise NotImplementedError(f"no stored form for {type(value).__name__}")


def _to_array(_kind: type, value: Any) -> Any:
    dtype, shape, raw = value
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_from_array)


class Codec(Generic[T]):
    """Packs and unpacks one dataclass of the model; array columns come back read-only."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind, dec_hook=_to_array)

    def pack(self, value: T) -> bytes:
        """Bytes for a blob column."""
        return _VERSION + compress(_encoder.encode(value))

    def unpack(self, body: bytes) -> T:
        """The value again. Raises StoreError for a version this build does not know, or broken bytes."""
        if body[:1] != _VERSION:
            raise StoreError(f"a stored blob has version {body[:1].hex() or 'none'}, this build reads 01")
        try:
            return self._decoder.decode(decompress(body[1:]))
        except msgspec.DecodeError as error:
            raise StoreError(f"a stored blob does not fit the model: {error}") from error
