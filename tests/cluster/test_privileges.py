"""Each capability that a container has is one that it needs: without it, it says which it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import AGENTS, NAMESPACE, TAG, apply, settle
from tests.cluster.kubectl import KubectlError
from tests.runtimes.machine import TREE

SECTION = {"install": "initContainers", "agent": "containers", "sidecar": "containers"}
NEEDED = {
    ("agent", "NET_ADMIN"): "the agent lacks CAP_NET_ADMIN",
    ("agent", "SYS_ADMIN"): "the agent lacks CAP_SYS_ADMIN",
    ("sidecar", "NET_BIND_SERVICE"): "exec /opt/felix/bin/felix-sidecar: operation not permitted",
    ("install", "DAC_OVERRIDE"): "this container needs the capability DAC_OVERRIDE",
}
"""What the container's log says where the capability is missing. The sidecar's runtime does not start it then."""


def test_the_page_on_installing_lists_them() -> None:
    page = (TREE / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| `([A-Z_]+)` \|", page, re.MULTILINE)) == NEEDED.keys()


def test_no_container_has_a_capability_that_is_not_listed_here(made: Cluster) -> None:
    template = made.kubectl.get(AGENTS, f"--namespace={NAMESPACE}")["spec"]["template"]["spec"]
    assert {
        (container["name"], capability)
        for section in ("initContainers", "containers")
        for container in template[section]
        for capability in container["securityContext"]["capabilities"].get("add", ())
    } == NEEDED.keys()


@pytest.fixture(scope="module")
def changed(made: Cluster) -> Iterator[Cluster]:
    """The cluster, whose DaemonSet has all its capabilities before and after."""
    yield made
    apply(made, TAG)
    settle(made)


@pytest.mark.long
@pytest.mark.parametrize(("container", "capability"), NEEDED)
def test_without_it_the_container_says_what_it_lacks(changed: Cluster, container: str, capability: str) -> None:
    with plugins_of_another_user(changed):
        keep_all_but(changed, container, capability)
        changed.until(
            f"{container} says that it lacks {capability}",
            1,
            lambda: any(NEEDED[container, capability] in log for log in logs(changed, container, capability)),
        )


@contextmanager
def plugins_of_another_user(made: Cluster) -> Iterator[None]:
    """Have the runtime's folder on every node as the reference plugins' archive leaves it when root unpacks it.

    Our plugin is set aside meanwhile, for nodes whose pod of the DaemonSet is not replaced install none.
    """
    for node in made.nodes.values():
        node.machine.sh("chown 1001 /opt/cni/bin; mv /opt/cni/bin/felix /opt/cni/felix")
    try:
        yield
    finally:
        for node in made.nodes.values():
            node.machine.sh("chown 0 /opt/cni/bin; mv /opt/cni/felix /opt/cni/bin/felix")


def keep_all_but(made: Cluster, without: str, lacking: str) -> None:
    """Have the DaemonSet's pods, one after the other, with what is needed but one capability of one container."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for container, section in SECTION.items():
        lacks = [lacking] if container == without else []
        added = [name for of, name in NEEDED if of == container and name not in lacks]
        capabilities = {"drop": ["ALL", *lacks], "add": added or None}
        change = {"name": container, "securityContext": {"capabilities": capabilities}}
        sections.setdefault(section, []).append(change)
    patch = {"spec": {"template": {"spec": sections}}}
    made.kubectl("patch", AGENTS, f"--namespace={NAMESPACE}", f"--patch={json.dumps(patch)}")


def logs(made: Cluster, container: str, capability: str) -> Iterator[str]:
    """Yield what a container says in each pod that is without the capability."""
    for pod in made.kubectl.get("pods", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/name=felix-py-node")[
        "items"
    ]:
        (found,) = (each for each in pod["spec"][SECTION[container]] if each["name"] == container)
        if capability in found["securityContext"]["capabilities"]["drop"]:
            try:
                yield made.kubectl(
                    "logs", pod["metadata"]["name"], f"--namespace={NAMESPACE}", f"--container={container}"
                )
            except KubectlError:  # it has not started yet, or is just gone
                continue
