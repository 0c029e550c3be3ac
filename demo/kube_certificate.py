"""A self-signed certificate made at start, so that no private key lies in the repository.

kubectl sends bearer tokens over TLS only. The curve arithmetic is plain and not constant-time: it guards a
simulator on a loopback address for as long as the process lives, nothing else.
Sources: RFC 5280 (X.509), RFC 5915 (EC private keys), FIPS 186-5 (P-256, ECDSA).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Point = tuple[int, int] | None
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G: Point = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_ECDSA_SHA256, _EC_KEY, _P256 = "1.2.840.10045.4.3.2", "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both PEM."""

    pem: bytes
    key: bytes

    @classmethod
    def for_names(cls, *names: str) -> Certificate:
        """A certificate for host names and addresses, good for a year."""
        secret = secrets.randbelow(_N - 1) + 1
        public = _encoded(_times(secret, _G))
        body = _body(public, sorted(set(names)))
        algorithm = _sequence(_identifier(_ECDSA_SHA256))
        whole = _sequence(body, algorithm, _bits(_sign(secret, body)))
        return cls(_pem("CERTIFICATE", whole), _pem("EC PRIVATE KEY", _private(secret, public)))

    def context(self) -> ssl.SSLContext:
        """A server context with it; the key is on disk only while OpenSSL reads it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        handle, name = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.pem + self.key)
            context.load_cert_chain(name)
        finally:
            os.unlink(name)
        return context


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return (x, (slope * (a[0] - x) - a[1]) % _P)


def _times(count: int, point: Point) -> Point:
    result: Point = None
    while count:
        if count & 1:
            result = _add(result, point)
        point = _add(point, point)
        count >>= 1
    return result


def _encoded(point: Point) -> bytes:
    assert point is not None
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def _sign(secret: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        nonce = secrets.randbelow(_N - 1) + 1
        point = _times(nonce, _G)
        assert point is not None
        r = point[0] % _N
        s = pow(nonce, -1, _N) * (digest + r * secret) % _N
        if r and s:
            return _sequence(_integer(r), _integer(s))


def _body(public: bytes, names: list[str]) -> bytes:
    name = _sequence(_tagged(0x31, _sequence(_identifier("2.5.4.3"), _tagged(0x0C, b"quarterdeck demo"))))
    now = datetime.now(UTC)
    life = _sequence(_time(now - timedelta(hours=1)), _time(now + timedelta(days=365)))
    key = _sequence(_sequence(_identifier(_EC_KEY), _identifier(_P256)), _bits(public))
    return _sequence(
        _tagged(0xA0, _integer(2)),
        _integer(secrets.randbits(120) | 1),
        _sequence(_identifier(_ECDSA_SHA256)),
        name,
        life,
        name,
        key,
        _tagged(0xA3, _sequence(*_extensions(public, names))),
    )


def _extensions(public: bytes, names: list[str]) -> list[bytes]:
    mark = hashlib.sha1(public, usedforsecurity=False).digest()
    alternatives = b"".join(_alternative(name) for name in names)
    return [
        _extension("2.5.29.19", _sequence(_tagged(0x01, b"\xff")), critical=True),  # basicConstraints: CA
        _extension(
            "2.5.29.15", _tagged(0x03, b"\x02\x84"), critical=True
        ),  # keyUsage: sign, sign certificates
        _extension("2.5.29.37", _sequence(_identifier("1.3.6.1.5.5.7.3.1")), critical=False),  # serverAuth
        _extension("2.5.29.14", _tagged(0x04, mark), critical=False),
        _extension("2.5.29.35", _sequence(_tagged(0x80, mark)), critical=False),
        _extension("2.5.29.17", _tagged(0x30, alternatives), critical=False),
    ]


def _extension(oid: str, value: bytes, *, critical: bool) -> bytes:
    flag = _tagged(0x01, b"\xff") if critical else b""
    return _tagged(0x30, _identifier(oid) + flag + _tagged(0x04, value))


def _alternative(name: str) -> bytes:
    try:
        return _tagged(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return _tagged(0x82, name.encode("ascii", "ignore"))


def _private(secret: int, public: bytes) -> bytes:
    curve = _tagged(0xA0, _identifier(_P256))
    return _sequence(
        _integer(1), _tagged(0x04, secret.to_bytes(32, "big")), curve, _tagged(0xA1, _bits(public))
    )


def _tagged(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(body: bytes) -> bytes:
    return _tagged(0x03, b"\x00" + body)


def _time(moment: datetime) -> bytes:
    return _tagged(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _identifier(text: str) -> bytes:
    first, second, *others = (int(part) for part in text.split("."))
    body = bytes([40 * first + second])
    for number in others:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, number & 0x7F | 0x80)
        body += bytes(groups)
    return _tagged(0x06, body)


def _pem(label: str, body: bytes) -> bytes:
    text = base64.encodebytes(body).replace(b"\n", b"")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([f"-----BEGIN {label}-----".encode(), *lines, f"-----END {label}-----".encode(), b""])
