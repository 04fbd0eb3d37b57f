from __future__ import annotations

from typing import Any

import pytest

from controller.cluster_view import KubeControllersConfiguration
from controller.configuration import grace_seconds
from controller.running_config import DEFAULTS, Running, duration_text, missing_configuration, with_status
from datastore.fields import seconds

RUNNING = Running.of(
    {"ENABLED_CONTROLLERS": "node", "FELIX_LEAKGRACEPERIOD": "", "HOME": "/"},
    collects=True,
    port=9094,
    log_level="WARNING",
)
STATUS: dict[str, Any] = {
    "environmentVars": {"ENABLED_CONTROLLERS": "node"},
    "runningConfig": {
        "controllers": {
            "node": {"hostEndpoint": {"autoCreate": "Disabled"}, "leakGracePeriod": "15m0s", "syncLabels": "Disabled"}
        },
        "healthChecks": "Enabled",
        "logSeverityScreen": "Warning",
        "prometheusMetricsPort": 9094,
    },
}


def test_what_is_made_where_there_is_none_is_calicos_and_asks_for_calicos_grace_period() -> None:
    made = missing_configuration()
    assert (made.name, made.spec.to_json()) == ("default", DEFAULTS)
    assert grace_seconds(made, None) == (900, "")


def test_the_status_says_which_variables_count_and_what_runs() -> None:
    assert RUNNING.status(900) == STATUS
    off = Running.of({}, collects=False, port=0, log_level="CRITICAL").status(0)
    assert off == {
        "environmentVars": {},
        "runningConfig": {
            "controllers": {},
            "healthChecks": "Disabled",
            "logSeverityScreen": "Fatal",
            "prometheusMetricsPort": 0,
        },
    }


def test_all_else_of_the_object_is_kept() -> None:
    record = {"metadata": {"name": "default", "resourceVersion": "7"}, "spec": {"later": [1]}, "more": {"a": 1}}
    changed = with_status(
        KubeControllersConfiguration.read({**record, "status": {"environmentVars": {"A": "b"}}}), STATUS
    )
    assert changed is not None and changed.to_json() == {**record, "status": STATUS}
    assert with_status(changed, STATUS) is None


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0, "0s"), (1, "1s"), (1.5, "1.5s"), (60, "1m0s"), (900, "15m0s"), (3600, "1h0m0s"), (90061.25, "25h1m1.25s")],
)
def test_a_duration_is_as_go_writes_it(duration: float, text: str) -> None:
    assert duration_text(duration) == text
    assert seconds(text) == duration
