"""Pages: one blueprint per page, and the shell around them. The factory registers `BLUEPRINTS`."""

from __future__ import annotations

# Dotted `module:name`. Adding a page is one line here; docs/frontend.md tells the rest.
BLUEPRINTS = (
    "app.pages.shell:blueprint",
    "app.pages.fragments:blueprint",
    "app.pages.login:blueprint",
    "app.pages.setup:blueprint",
    "app.pages.fleet:blueprint",
    "app.pages.topology:blueprint",
    "app.pages.diff:blueprint",
    "app.pages.places:blueprint",
    "app.pages.service:blueprint",
    "app.pages.traces:blueprint",
    "app.pages.panel:blueprint",
    "app.pages.charts:blueprint",
    "app.pages.figures:blueprint",
    "app.pages.actions:blueprint",
    "app.pages.audit:blueprint",
    "app.pages.search:blueprint",
    "app.pages.settings:blueprint",
    "app.pages.tokens:blueprint",
)
