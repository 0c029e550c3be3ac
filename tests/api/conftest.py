"""A site that serves the API over the small fleet."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import api, clock
from app.config import Cluster
from tests.support import small_fleet as fleet
from tests.support.web import OWN_BLUEPRINTS, make_site, make_store

SERVED = (*OWN_BLUEPRINTS, *api.BLUEPRINTS)


@pytest.fixture
def empty(tmp_path):
    """No data yet."""
    return make_site(tmp_path, blueprints=SERVED)


@pytest.fixture
def site(tmp_path, populated):
    """The small fleet, an hour of history, and what Kubernetes knows of it."""
    clusters = (Cluster(name=fleet.CLUSTER), Cluster(name="silent"))
    made = make_site(tmp_path, blueprints=SERVED, clusters=clusters, seed=populated)
    fleet.put_topology(made.store)
    return made


@pytest.fixture(scope="session")
def populated(tmp_path_factory):
    """A store with an hour of history and an inventory, written once; minutes ahead cover the session's length."""
    place = tmp_path_factory.mktemp("populated")
    store = make_store(place)
    fleet.put_minutes(store, 90, end=clock.now() + timedelta(minutes=20))
    fleet.put_inventory(store)
    store.dispose()
    return place / "fresh.db"


@pytest.fixture
def bob(site):
    return site.client("bob")
