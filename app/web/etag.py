"""Conditional answers: entity tags, 304, and bytes compressed once and served many times."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field

import zstandard
from flask import Response, request

_WORTH_COMPRESSING = 1024  # below, the headers cost more than the bytes saved
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 1


@dataclass(slots=True)
class Bytes:
    """One answer's body in each encoding that was asked for so far."""

    body: bytes
    media_type: str = "application/json"
    digest: str = ""
    _encoded: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.digest = self.digest or hashlib.blake2b(self.body, digest_size=12).hexdigest()

    def __len__(self) -> int:
        return len(self.body) + sum(map(len, self._encoded.values()))

    def encoded(self, encoding: str) -> bytes:
        """The body in `identity`, `gzip` or `zstd`; compressed at the first ask."""
        if encoding == "identity":
            return self.body
        if encoding not in self._encoded:
            self._encoded[encoding] = compress(self.body, encoding)
        return self._encoded[encoding]

    def etag(self, encoding: str) -> str:
        """The strong entity tag: the same bytes in another encoding are another representation."""
        return f'"{self.digest}-{encoding[0]}"'


def compress(body: bytes, encoding: str) -> bytes:
    """The body as gzip (without a time stamp, so equal bodies are equal bytes) or zstd."""
    if encoding == "gzip":
        return gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


def chosen_encoding(accepted: str, length: int) -> str:
    """The encoding to use for this Accept-Encoding header: zstd, gzip, or identity."""
    if length < _WORTH_COMPRESSING or not accepted:
        return "identity"
    offered = dict(_weight(part) for part in accepted.lower().split(","))
    for name in ("zstd", "gzip"):
        if offered.get(name, 0.0) > 0:
            return name
    return "identity"


def _weight(part: str) -> tuple[str, float]:
    name, _, parameter = part.strip().partition(";")
    key, _, value = parameter.strip().partition("=")
    try:
        return name.strip(), float(value) if key == "q" else 1.0
    except ValueError:
        return name.strip(), 0.0


def matches(etag: str) -> bool:
    """Whether the request already holds this entity (weak comparison, RFC 9110 13.1.2)."""
    header = request.headers.get("If-None-Match", "")
    if header == "*":
        return True
    wanted = etag.removeprefix("W/")
    return any(tag.strip().removeprefix("W/") == wanted for tag in header.split(",")) if header else False


def serve(document: Bytes) -> Response:
    """The bytes in the best accepted encoding, or 304."""
    encoding = chosen_encoding(request.headers.get("Accept-Encoding", ""), len(document.body))
    etag = document.etag(encoding)
    if matches(etag):
        return _dress(Response(status=304), etag)
    response = Response(document.encoded(encoding), mimetype=document.media_type)
    if encoding != "identity":
        response.headers["Content-Encoding"] = encoding
    return _dress(response, etag)


def not_modified(etag: str) -> Response | None:
    """A 304 when the request already holds the entity named so; else None. For answers rendered later."""
    return _dress(Response(status=304), etag) if matches(etag) else None


def _dress(response: Response, etag: str) -> Response:
    response.headers["ETag"] = etag
    response.headers["Vary"] = "Accept-Encoding, Cookie, Authorization"
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def tagged(response: Response, etag: str) -> Response:
    """Give a rendered answer its entity tag."""
    return _dress(response, etag)
