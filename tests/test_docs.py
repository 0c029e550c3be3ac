import argparse
import re
from pathlib import Path

import pytest

from app.cli import _parser
from app.config.schema import table

ROOT = Path(__file__).parent.parent


def commands() -> dict[str, argparse.ArgumentParser]:
    actions = _parser()._actions
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def test_the_table_of_settings_is_the_one_in_the_documentation():
    assert table() in (ROOT / "docs/configuration.md").read_text()


@pytest.mark.parametrize("name", commands())
def test_every_command_shows_an_example_and_takes_config_and_state_dir(name):
    text = commands()[name].format_help()
    assert "example:\n  quarterdeck " in text
    assert "--config" in text
    assert "--state-dir" in text


@pytest.mark.parametrize("file", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=str)
def test_every_local_link_leads_somewhere(file):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text()):
        assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_the_makefile_lists_its_targets():
    text = (ROOT / "Makefile").read_text()
    for target in ("setup", "demo", "test", "check", "bench", "vendor", "migration", "soak", "scaleout-demo"):
        assert re.search(rf"^{target}:.*## ", text, re.MULTILINE), target
