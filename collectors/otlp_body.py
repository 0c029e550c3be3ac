"""OTLP/HTTP bodies: unpacking with a cap, and what can be wrong with one.

Source: OTLP 1.9, "OTLP/HTTP Request" and "Failures". Knows nothing of spans.
"""

from __future__ import annotations

import zlib

import zstandard

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

_ZSTD_BITE = 128  # a zstd block of 4 bytes may stand for 128 KiB: small bites keep the cap exact enough
_ZSTD_WINDOW = 8 << 20
_MOST_PARTS = 64


class OtlpError(Exception):
    """A body that cannot be taken: the HTTP status, the google.rpc code and a sentence for the sender's log."""

    status = 400
    code = 3  # INVALID_ARGUMENT


class Malformed(OtlpError):
    """Not what its headers say it is."""


class TooLarge(OtlpError):
    """Larger than allowed, as sent or once unpacked."""

    status = 413


class Unsupported(OtlpError):
    """A content type or encoding we do not read."""

    status = 415


class Full(OtlpError):
    """The buffer is full; the sender should come back after `retry_after` seconds."""

    status = 429
    code = 8  # RESOURCE_EXHAUSTED

    def __init__(self, message: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(message)


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding, at most `limit` bytes.

    Raises Malformed (not that encoding, or cut short), TooLarge, Unsupported.
    """
    name = encoding.strip().lower()
    if len(body) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    if name in ("", "identity"):
        return body
    if name == "gzip":
        return _gunzip(body, limit)
    if name == "zstd":
        return _unzstd(body, limit)
    raise Unsupported(f"unsupported content encoding, supported: [gzip, zstd, identity], got {name[:40]!r}")


def _check_parts(parts: list[bytes]) -> None:
    # What is left is copied for each part: thousands of empty ones would cost quadratic time.
    if len(parts) >= _MOST_PARTS:
        raise Malformed(f"the body consists of more than {_MOST_PARTS} compressed parts")


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    left, rest = limit, body
    while rest:  # a gzip body may hold several members (RFC 1952 2.2)
        _check_parts(parts)
        unzip = zlib.decompressobj(wbits=31)
        try:
            part = unzip.decompress(rest, left + 1)
        except zlib.error as error:
            raise Malformed("the body is not gzip, though Content-Encoding says so") from error
        left -= len(part)
        if left < 0:
            raise TooLarge(f"the body is larger than {limit} bytes once unpacked")
        if not unzip.eof:
            raise Malformed("the gzip body ends before its end")
        parts.append(part)
        rest = unzip.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    left, rest = limit, body
    while rest:  # and a zstd body several frames (RFC 8878 3.1)
        _check_parts(parts)
        frame, rest = _zstd_frame(rest, left)
        left -= len(frame)
        if left < 0:
            raise TooLarge(f"the body is larger than {limit} bytes once unpacked")
        parts.append(frame)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _zstd_frame(body: bytes, limit: int) -> tuple[bytes, bytes]:
    """The content of the first frame (cut soon after `limit`) and what follows it."""
    unzip = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    found = bytearray()
    for start in range(0, len(body), _ZSTD_BITE):
        try:
            found += unzip.decompress(body[start : start + _ZSTD_BITE])
        except zstandard.ZstdError as error:
            raise Malformed("the body is not zstd, though Content-Encoding says so") from error
        if unzip.eof:
            return bytes(found), unzip.unused_data + body[start + _ZSTD_BITE :]
        if len(found) > limit:
            return bytes(found), b""
    raise Malformed("the zstd body ends before its end")
