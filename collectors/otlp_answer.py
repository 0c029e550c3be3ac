"""The answers an OTLP sender expects, in the encoding of its request.

Source: OTLP 1.9 "OTLP/HTTP Response"; shapes as a real backend answers them (tests/recorded/otlp).
"""

from __future__ import annotations

import orjson

from collectors.otlp_body import JSON
from collectors.otlp_wire import PROTO


def success(content_type: str, *, rejected: int = 0, message: str = "") -> bytes:
    """The body of a 200: empty partial success, or how many spans were refused and why."""
    if content_type == JSON:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message} if rejected else {}
        return orjson.dumps({"partialSuccess": partial})
    response = PROTO["Response"]()
    response.partial_success.SetInParent()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message.encode()
    return bytes(response.SerializeToString())


def refusal(content_type: str, *, code: int, message: str) -> bytes:
    """The body of an error: google.rpc.Status in the encoding of the request."""
    if content_type == JSON:
        return orjson.dumps({"code": code, "message": message})
    return bytes(PROTO["Status"](code=code, message=message.encode()).SerializeToString())
