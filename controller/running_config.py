"""KubeControllersConfiguration as it is where nobody has written it, and what the controller says in it of itself.

Pure. Both are as Calico's kube-controllers has them, so that it finds all it needs when it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from controller.cluster_view import KubeControllersConfiguration
from datastore.record import Resource

NAME = "default"
DEFAULTS: Mapping[str, Any] = {
    "controllers": {
        "loadBalancer": {"assignIPs": "AllServices"},
        "namespace": {"reconcilerPeriod": "5m0s"},
        "node": {
            "hostEndpoint": {"autoCreate": "Disabled", "createDefaultHostEndpoint": "Enabled"},
            "leakGracePeriod": "15m0s",
            "reconcilerPeriod": "5m0s",
            "syncLabels": "Enabled",
        },
        "policy": {"reconcilerPeriod": "5m0s"},
        "policyMigration": {"enabled": "Enabled"},
        "serviceAccount": {"reconcilerPeriod": "5m0s"},
        "workloadEndpoint": {"reconcilerPeriod": "5m0s"},
    },
    "etcdV3CompactionPeriod": "10m0s",
    "healthChecks": "Enabled",
    "logSeverityScreen": "Info",
    "prometheusMetricsPort": 9094,
}
"""What Calico v3.32 writes. A controller that is left out of it is switched off."""
VARIABLES = ("ENABLED_CONTROLLERS", "FELIX_LEAKGRACEPERIOD", "FELIX_LOGSEVERITYSCREEN", "FELIX_CONTROLLERPORT")
"""What of the environment comes before the object, or has no part in it."""
_LEVELS = {"CRITICAL": "Fatal"}
"""Calico's words for levels, where they are others than ours."""


class Running(Struct, frozen=True):
    """What a controller runs with, but for what changes. collects: whether it is switched on. port: 0: none."""

    collects: bool
    port: int
    log_level: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is set of VARIABLES."""

    @classmethod
    def of(cls, environment: Mapping[str, str], *, collects: bool, port: int, log_level: str) -> Running:
        found = {name: environment[name] for name in VARIABLES if environment.get(name)}
        return cls(collects, port, log_level, found)

    def status(self, grace_seconds: float) -> dict[str, Any]:
        """Return the `status` to be read: the variables, and what came of them, in the shape of the spec."""
        node = {
            "hostEndpoint": {"autoCreate": "Disabled"},
            "leakGracePeriod": duration_text(grace_seconds),
            "syncLabels": "Disabled",
        }
        running = {
            "controllers": {"node": node} if self.collects else {},
            "healthChecks": "Enabled" if self.port else "Disabled",
            "logSeverityScreen": _LEVELS.get(self.log_level, self.log_level.capitalize()),
            "prometheusMetricsPort": self.port,
        }
        return {"environmentVars": dict(self.environment), "runningConfig": running}


def missing_configuration() -> Resource:
    """Return the object to create where there is none."""
    return KubeControllersConfiguration.make(NAME, **DEFAULTS)


def with_status(configuration: Resource, status: Mapping[str, Any]) -> Resource | None:
    """Return the object with this status, all else as it is; None: it has it."""
    if (configuration.model_extra or {}).get("status") == status:
        return None
    return type(configuration).read({**configuration.to_json(), "status": dict(status)})


def duration_text(seconds: float) -> str:
    """Return a duration as Go writes it: `15m0s`, `1h0m0s`, `1.5s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
