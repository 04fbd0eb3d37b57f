"""What KubeControllersConfiguration and Calico's variables ask of the controller.

Pure. The environment beats the object, as in Calico.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datastore.fields import seconds
from datastore.notices import Notice
from datastore.record import Resource
from ipam.leaks import GRACE_SECONDS

ENABLED = "ENABLED_CONTROLLERS"
OURS = "node"


def enabled(environment: Mapping[str, str]) -> tuple[bool, tuple[Notice, ...]]:
    """Return whether this controller is one that the environment switches on, and a notice for each that is none."""
    names = [name.strip() for name in environment.get(ENABLED, "").split(",") if name.strip()]
    others = tuple(
        Notice("Setting", ENABLED, "", f"there is no controller {name!r} here", "it does not run")
        for name in names
        if name != OURS
    )
    return not names or OURS in names, others


def grace_seconds(configuration: Resource | None, setting: float | None) -> tuple[float, str]:
    """Return for how long an address has to look leaked, 0: none is given back; and what of the object is not obeyed.

    setting: what the environment says; None: nothing.
    """
    if setting is not None:
        return setting, ""
    written = _written(configuration)
    match written:
        case None:
            return (0.0, "") if _is_null(configuration) else (float(GRACE_SECONDS), "")
        case str():
            try:
                found = seconds(written)
            except ValueError as error:
                return float(GRACE_SECONDS), f"leakGracePeriod: {error}; 15m applies"
            return max(0.0, found), ""
        case _:
            return float(GRACE_SECONDS), f"leakGracePeriod {written!r} is not a text such as 15m0s; 15m applies"


def _node(configuration: Resource | None) -> Mapping[str, Any]:
    at: Any = (configuration.spec.model_extra or {}) if configuration else {}
    for part in ("controllers", "node"):
        at = at.get(part) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _written(configuration: Resource | None) -> object:
    return _node(configuration).get("leakGracePeriod")


def _is_null(configuration: Resource | None) -> bool:
    """Whether the period is there and null: that is how Calico is told to give nothing back."""
    return "leakGracePeriod" in _node(configuration)
