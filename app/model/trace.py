"""What one span says: its kind, how its call ended, and how many calls it stands for.

Rules follow the OpenTelemetry semantic conventions 1.44 and W3C trace context; nothing here knows a wire format.
"""

from __future__ import annotations

from enum import IntEnum


class SpanKind(IntEnum):
    """Span kinds under their OTLP numbers."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Outcome(IntEnum):
    """How one side says its call ended.

    UNCODED is status ERROR without any response code (no answer, timeout). CALLER is the caller's own fault
    (HTTP 4xx and their like), FAILED the callee's, both told by a code.
    """

    OK = 0
    UNCODED = 1
    CALLER = 2
    FAILED = 3


# UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
_GRPC_FAILED = frozenset({2, 4, 12, 13, 14, 15})
_GRPC_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_GRPC_CODES = {name: code for code, name in enumerate(_GRPC_NAMES)}


def outcome_of_error(*, http_status: str = "", grpc_status: str = "") -> Outcome:
    """What status ERROR means, given the codes of the span as text ("" = none); the first known code decides.

    HTTP conventions set a client span to ERROR on 4xx, gRPC ones on any code but OK: those are no failures of
    the callee. `grpc_status` may be a number or a name such as `DEADLINE_EXCEEDED`.
    """
    if http_status.isascii() and http_status.isdecimal() and len(http_status) == 3:
        return Outcome.FAILED if int(http_status) >= 500 else Outcome.CALLER
    code = _grpc_code(grpc_status)
    if code is None:
        return Outcome.UNCODED
    return Outcome.FAILED if code in _GRPC_FAILED else Outcome.CALLER


def _grpc_code(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) <= 2:
        return int(text) if int(text) < len(_GRPC_NAMES) else None
    return _GRPC_CODES.get(text.upper())


def sampling_multiplier(tracestate: str) -> float | None:
    """How many requests a sampled one stands for, from the `ot=th:<hex>` member of W3C tracestate.

    The threshold T is the hex padded on the right to 14 digits; the multiplier is 2^56 / (2^56 - T)
    (OpenTelemetry, probability sampling). None = the header does not say, or not legibly.
    """
    for member in tracestate.split(","):
        vendor, _, value = member.strip().partition("=")
        if vendor != "ot":
            continue
        for field in value.split(";"):
            if field.startswith("th:"):
                return _of_threshold(field[3:])
    return None


def _of_threshold(digits: str) -> float | None:
    if not 1 <= len(digits) <= 14 or not set(digits) <= set("0123456789abcdef"):
        return None
    threshold = int(digits.ljust(14, "0"), 16)
    return float(2**56 / (2**56 - threshold))
