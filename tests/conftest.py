"""For every test: a busy machine is not taken for a fault of the test, and thousands of tests not for garbage."""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

settings.register_profile("on a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on a busy machine")

gc.set_threshold(20_000)  # Python's own 700 are for programs that hold little: a sixth of a run went into the search


def pytest_collection_finish() -> None:
    """Leave all that there is by now out of the search for good."""
    gc.freeze()
