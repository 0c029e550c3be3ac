"""How log lines look: one event one line, UTC, to standard error. Foreign text in them cannot forge a line."""

from __future__ import annotations

import logging
import re
import sys
import time

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUIETER = {
    "alembic": logging.WARNING,
    "celery": logging.WARNING,
    "kubernetes": logging.WARNING,
    "urllib3": logging.ERROR,  # each retry is a warning there; a source that is down is told once, by app.collect
    "werkzeug": logging.WARNING,
}


class Lines(logging.Formatter):
    """`2026-11-24T10:00:00.123Z WARNING quarterdeck.collect: …`; a traceback follows on lines of its own."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, control characters of the message shown as escapes."""
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record)


def install() -> None:
    """Begin to log; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name, level in _QUIETER.items():
        logging.getLogger(name).setLevel(level)
