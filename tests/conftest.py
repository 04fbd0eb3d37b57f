"""For every test: Hypothesis does not take a busy machine for a fault of the test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("on a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on a busy machine")
