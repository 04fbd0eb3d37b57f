"""manifests/base/settings.yaml, made from the settings and their meanings: `python -m tests.config_map` writes it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from felix_py.configuration.settings import variables
from tests.meanings import MEANINGS
from tests.pages import defaults

PATH = Path(__file__).parents[1] / "manifests" / "base" / "settings.yaml"

OF_THE_POD = ("NODENAME", "NAMESPACE", "HOSTNAME")
"""What each pod is told of itself, and no ConfigMap can say."""

OF_THE_DAEMON_SET = (
    *("CALICO_NODENAME_FILE", "FELIX_MTUFILE", "FELIX_RUN_DIR", "FELIX_STATE_DIR", "FELIX_CNICONFDIR"),
    *("FELIX_CNIBINDIR", "FELIX_PROCSYS", "FELIX_HEALTHHOST", "FELIX_HEALTHPORT", "FELIX_STATUSPORT"),
)
"""What stands in manifests/base/node.yaml too, as the path of a mount, as a port or in a probe."""

OF_THE_DEPLOYMENT = ("FELIX_CONTROLLERHOST", "FELIX_CONTROLLERPORT")
"""What stands in manifests/base/controller.yaml too."""

GIVEN: Mapping[str, str] = {
    "FELIX_DATASTORE": "kubernetes://",
    "FELIX_CNICONFDIR": "/etc/cni/net.d",
    "FELIX_PROCSYS": "/host/proc/sys",
    "IP": "autodetect",
}
"""What an installation needs otherwise than the default is."""

_HEAD = """\
# Every setting of agent and controller; the sidecar reads FELIX_LOGSEVERITYSCREEN
# and FELIX_BGPCOMPAREDECODERS. "" stands for the default.
# They are read at the start of a pod: after a change, kubectl -n kube-system rollout restart daemonset/felix-py-node
# and deployment/felix-py-controller.
# A value that is not allowed ends the agent with a sentence in its log that names it.
# Written by `python -m tests.config_map`, from felix_py/configuration/settings.py and tests/meanings.py.
apiVersion: v1
kind: ConfigMap
metadata:
  name: felix-py-config
  namespace: kube-system
data:
"""


def text() -> str:
    """Return manifests/base/settings.yaml."""
    return _HEAD + "".join(f"{line}\n" for line in lines())


def lines() -> Iterator[str]:
    usual = defaults()
    for name, allowed in variables().items():
        if name not in OF_THE_POD:
            shown = f"; default: {usual[name]}" if usual[name] else ""
            comment = f"{MEANINGS[name]}{_tied(name)} Allowed: {allowed}{shown}."
            yield from textwrap.wrap(
                comment, 116, initial_indent="  # ", subsequent_indent="  # ", break_on_hyphens=False
            )
            yield f"  {name}: {json.dumps(GIVEN.get(name, ''))}"


def _tied(name: str) -> str:
    tied = {"DaemonSet": OF_THE_DAEMON_SET, "Deployment": OF_THE_DEPLOYMENT}
    return next(
        (
            f" The {kind} has it too: change both (the chart has them fixed)."
            for kind, names in tied.items()
            if name in names
        ),
        "",
    )


if __name__ == "__main__":
    PATH.write_text(text())
