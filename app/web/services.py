"""What the views of one application share: `services()` answers it anywhere in a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from flask import current_app

from app.config import Config

if TYPE_CHECKING:
    from app.store.engine import Store
    from app.web.accounts import Accounts
    from app.web.diffs import Diffs
    from app.web.documents import Documents
    from app.web.limits import Limits
    from app.web.metrics import Metrics
    from app.web.reader import Reader
    from app.web.traces import Traces


@dataclass(slots=True)
class Services:
    """The parts of one application. `otlp` is the receiver of this process, `live` the socket side."""

    config: Config
    store: Store
    reader: Reader
    accounts: Accounts
    limits: Limits
    documents: Documents
    traces: Traces
    diffs: Diffs
    metrics: Metrics
    origins: list[str]
    build: str
    version: str
    started: datetime
    otlp: Any = None
    reload: Callable[[], None] | None = None
    live: Any = None


def services() -> Services:
    """The parts of the application that serves this request."""
    return cast(Services, current_app.extensions["quarterdeck"])
