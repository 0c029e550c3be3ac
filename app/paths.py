"""Where templates, static files and migrations lie: beside the code in a checkout, inside the wheel otherwise."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def assets() -> Path:
    """The directory that holds `templates/`, `static/` and `migrations/`."""
    packed = _PACKAGE / "assets"
    return packed if packed.is_dir() else _PACKAGE.parent


def templates() -> Path:
    """Jinja templates."""
    return assets() / "templates"


def static() -> Path:
    """Style sheets, scripts and vendored libraries."""
    return assets() / "static"


def migrations() -> Path:
    """Alembic's script directory."""
    return assets() / "migrations"
