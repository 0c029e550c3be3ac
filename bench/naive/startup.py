"""Starting as one writes it first: every module that may ever be needed is imported before the first request."""

from __future__ import annotations

import importlib
import sys

EVERYTHING = (
    "flask_socketio",
    "alembic.command",
    "argon2",
    "celery.apps.worker",
    "celery.beat",
    "kubernetes",
    "prometheus_api_client",
    "sqlalchemy.dialects.postgresql",
    "collectors.kubernetes",
    "collectors.prometheus",
    "collectors.otlp",
    "app.processes",
    "app.roles",
    "app.act",
)

if __name__ == "__main__":
    for name in EVERYTHING:
        importlib.import_module(name)
    from app.cli import main

    sys.exit(main())
