from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.acting import Acting, acting


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Acting]:
    with acting(tmp_path) as made:
        yield made
