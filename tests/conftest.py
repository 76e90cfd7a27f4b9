"""Hypothesis on any machine: how long an example takes to draw or to run is no failure. And which tests are proofs."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What scripts/prove runs whether it takes long or not."""
    for item in items:
        if item.path.parent.name == "formal" or item.path.name == "test_netlist.py":
            item.add_marker(pytest.mark.proof)
