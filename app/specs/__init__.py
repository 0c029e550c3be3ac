"""Objectives from files and to files: OpenSLO, Sloth, Pyrra and our own short form, told apart by their content."""

from __future__ import annotations

from app.specs.read import STANDARD_PERIOD, Specs, read, read_files
from app.specs.write import FORMATS, Unsayable, write

__all__ = ["FORMATS", "STANDARD_PERIOD", "Specs", "Unsayable", "read", "read_files", "write"]
