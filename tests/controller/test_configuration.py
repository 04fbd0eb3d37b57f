from __future__ import annotations

from typing import Any

import pytest

from controller.cluster_view import KubeControllersConfiguration
from controller.configuration import enabled, grace_seconds

NOTHING: dict[str, Any] = {}


def test_the_names_of_controllers_that_there_are_not_are_told() -> None:
    assert enabled({}) == (True, ())
    assert enabled({"ENABLED_CONTROLLERS": "node"}) == (True, ())
    on, [notice] = enabled({"ENABLED_CONTROLLERS": "node, loadbalancer"})
    assert on
    assert "there is no controller 'loadbalancer'" in str(notice)
    assert enabled({"ENABLED_CONTROLLERS": "policy"})[0] is False


@pytest.mark.parametrize(
    ("node", "seconds"),
    [
        (NOTHING, 900),
        ({"leakGracePeriod": "30m0s"}, 1800),
        ({"leakGracePeriod": "0s"}, 0),
        ({"leakGracePeriod": None}, 0),
        ({"leakGracePeriod": "-5m"}, 0),
        (None, 900),
        ("odd", 900),
    ],
)
def test_the_clusters_grace_period_is_obeyed(node: object, seconds: float) -> None:
    configuration = KubeControllersConfiguration.make("default", controllers={"node": node})
    assert grace_seconds(configuration, None) == (seconds, "")


def test_the_environment_beats_it_and_without_it_calicos_default_applies() -> None:
    configuration = KubeControllersConfiguration.make("default", controllers={"node": {"leakGracePeriod": "30m"}})
    assert grace_seconds(configuration, 60.0) == (60.0, "")
    assert grace_seconds(None, None) == (900.0, "")


@pytest.mark.parametrize("written", ["soon", 15])
def test_a_period_that_is_none_is_told_and_the_default_applies(written: object) -> None:
    configuration = KubeControllersConfiguration.make("default", controllers={"node": {"leakGracePeriod": written}})
    seconds, wrong = grace_seconds(configuration, None)
    assert seconds == 900
    assert str(written) in wrong
