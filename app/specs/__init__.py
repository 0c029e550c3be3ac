"""Objectives from files: OpenSLO, Sloth, Pyrra and our own short form, told apart by their content."""

from __future__ import annotations

from app.specs.read import STANDARD_PERIOD, Specs, read, read_files

__all__ = ["STANDARD_PERIOD", "Specs", "read", "read_files"]
