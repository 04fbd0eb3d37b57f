"""What manifests/base/roles.yaml denies. What it allows is enough: test_agents.py runs agents with their role, and
test_controller.py controllers.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from datastore.errors import Unavailable
from datastore.kinds.pools import IPPool
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from datastore.kube.store import KubeStore
from tests.felixctl.command import Felixctl
from tests.kube.bed import Bed
from tests.kube.control_plane import user_of
from tests.kube.kubectl import kubectl
from tests.kube.roles import CONTROLLER, NODE, STATUS, VIEWER, install_roles

DENIED_TO_NODES = (
    "get secrets", "list secrets", "create pods", "delete pods", "update pods", "create pods/exec", "update nodes",
    "patch nodes", "update nodes/status", "delete nodes", "create nodes", "get configmaps", "get configmaps others",
    "list configmaps", "watch configmaps", "create namespaces", "update namespaces", "patch namespaces",
    "delete namespaces", "create serviceaccounts/token", "get pods/proxy", "get nodes/proxy",
    "delete ippools.crd.projectcalico.org", "update ippools.crd.projectcalico.org",
    "create bgppeers.crd.projectcalico.org", "update bgpconfigurations.crd.projectcalico.org",
    "update ipamconfigs.crd.projectcalico.org", "delete clusterinformations.crd.projectcalico.org",
    "update globalnetworkpolicies.crd.projectcalico.org", "create clusterroles.rbac.authorization.k8s.io",
)  # fmt: skip
DENIED_TO_CONTROLLERS = (
    "get secrets", "get configmaps", "create pods", "delete pods", "patch pods/status", "create pods/exec",
    "update nodes", "patch nodes/status", "delete nodes", "get namespaces", "create serviceaccounts/token",
    "create ippools.crd.projectcalico.org", "update ippools.crd.projectcalico.org",
    "update clusterinformations.crd.projectcalico.org", "update ipamconfigs.crd.projectcalico.org",
    "delete kubecontrollersconfigurations.crd.projectcalico.org",
    "patch kubecontrollersconfigurations/status.crd.projectcalico.org",
    "create leases.coordination.k8s.io", "update leases.coordination.k8s.io felix-py-controller",
)  # fmt: skip
DENIED_TO_VIEWERS = (
    "get secrets", "get configmaps", "get pods/proxy", "create serviceaccounts/token", "get nodes/proxy",
    "create tokenreviews.authentication.k8s.io", "patch nodes/status", "patch pods/status", "update namespaces",
    "create ippools.crd.projectcalico.org",
    "update ipamblocks.crd.projectcalico.org", "delete ipamhandles.crd.projectcalico.org",
)  # fmt: skip
LISTED = ("auth", "can-i", "--list", "--namespace", "kube-system", "--as")


@pytest.fixture(scope="module")
def with_roles(started_bed: Bed) -> Bed:
    asyncio.run(install_roles(started_bed))
    return started_bed


async def may(bed: Bed, account: str, what: str, namespace: str = "default") -> bool:
    """Ask the API server itself whether an account may do `VERB RESOURCE[/SUBRESOURCE][.GROUP] [NAME]`."""
    verb, target, *names = what.split(" ")
    name, _, group = target.partition(".")
    resource, _, part = name.partition("/")
    attributes = {"verb": verb, "resource": resource, "subresource": part, "group": group, "namespace": namespace}
    attributes |= {"name": names[0]} if names else {}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user_of(account), "resourceAttributes": attributes},
    }
    client = ApiClient(bed.access)
    try:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = await client.request(f"ask for {what}", "POST", path, json.dumps(review).encode())
        return bool(json.loads(answer.body)["status"]["allowed"])
    finally:
        await client.close()


@pytest.mark.parametrize("account", [NODE, VIEWER])
async def test_namespaces_may_be_read(with_roles: Bed, account: str) -> None:
    for verb in ("get", "list", "watch"):
        assert await may(with_roles, account, f"{verb} namespaces"), verb


async def test_an_agent_may_see_the_policies_of_kubernetes(with_roles: Bed) -> None:
    assert all([await may(with_roles, NODE, f"{verb} networkpolicies.networking.k8s.io") for verb in ("list", "watch")])
    assert not await may(with_roles, NODE, "update networkpolicies.networking.k8s.io")


async def test_an_agent_may_read_what_kubeadm_noted_and_no_other_of_its_name(with_roles: Bed) -> None:
    assert await may(with_roles, NODE, "get configmaps kubeadm-config", "kube-system")
    assert not await may(with_roles, NODE, "get configmaps coredns", "kube-system")
    assert not await may(with_roles, NODE, "list configmaps", "kube-system")
    assert not await may(with_roles, NODE, "get configmaps kubeadm-config")


async def test_an_agent_may_ask_who_asks_for_its_status(with_roles: Bed) -> None:
    assert await may(with_roles, NODE, "create tokenreviews.authentication.k8s.io")
    assert await may(with_roles, NODE, "create subjectaccessreviews.authorization.k8s.io")


async def test_a_viewer_reaches_the_agents_pods_and_gets_tokens_for_their_status_alone(with_roles: Bed) -> None:
    assert await may(with_roles, VIEWER, "get pods/proxy", "kube-system")
    assert not await may(with_roles, VIEWER, "create pods/proxy", "kube-system")
    assert not await may(with_roles, VIEWER, "create pods/exec", "kube-system")
    assert await may(with_roles, VIEWER, f"create serviceaccounts/token {STATUS}", "kube-system")
    for account in (NODE, CONTROLLER, VIEWER):
        assert not await may(with_roles, VIEWER, f"create serviceaccounts/token {account}", "kube-system")
    assert not await may(with_roles, VIEWER, f"create serviceaccounts/token {STATUS}")


async def test_an_account_of_the_agents_pages_may_get_these_and_no_token(with_roles: Bed) -> None:
    nobody = set(kubectl(with_roles, *LISTED, user_of("an-account-without-any-role")).splitlines())
    own = {line for line in kubectl(with_roles, *LISTED, user_of(STATUS)).splitlines() if line not in nobody}
    assert [line.split() for line in own] == [["[/felix/*]", "[]", "[get]"]]


async def test_a_viewer_sees_which_controller_leads_and_no_other_lease(with_roles: Bed) -> None:
    assert await may(with_roles, VIEWER, "get leases.coordination.k8s.io felix-py-controller", "kube-system")
    assert not await may(with_roles, VIEWER, "get leases.coordination.k8s.io scheduler", "kube-system")
    for verb in ("update", "delete", "create"):
        assert not await may(
            with_roles, VIEWER, f"{verb} leases.coordination.k8s.io felix-py-controller", "kube-system"
        )


async def test_an_agent_may_write_its_nodes_annotations_and_condition(with_roles: Bed) -> None:
    assert await may(with_roles, NODE, "patch nodes/status")


async def test_an_agent_may_write_events_where_those_about_nodes_are_and_read_none(with_roles: Bed) -> None:
    assert await may(with_roles, NODE, "create events") and await may(with_roles, NODE, "patch events")
    assert not await may(with_roles, NODE, "create events", "kube-system")
    for verb in ("get", "list", "watch", "update", "delete"):
        assert not await may(with_roles, NODE, f"{verb} events"), verb


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
async def test_an_agent_may_read_the_secret_of_passwords_and_no_other(with_roles: Bed, verb: str) -> None:
    assert await may(with_roles, NODE, f"{verb} secrets bgp-secrets", "kube-system")
    assert not await may(with_roles, NODE, f"{verb} secrets bgp-secrets", "default")
    assert not await may(with_roles, NODE, f"{verb} secrets bootstrap-token", "kube-system")
    assert not await may(with_roles, NODE, f"{verb} secrets", "kube-system")
    assert not await may(with_roles, VIEWER, f"{verb} secrets bgp-secrets", "kube-system")


@pytest.mark.parametrize("what", DENIED_TO_NODES)
async def test_an_agent_may_not(with_roles: Bed, what: str) -> None:
    assert not await may(with_roles, NODE, what)


@pytest.mark.parametrize("what", DENIED_TO_CONTROLLERS)
async def test_a_controller_may_not(with_roles: Bed, what: str) -> None:
    assert not await may(with_roles, CONTROLLER, what)


async def test_a_controller_may_write_its_own_lease_and_no_other(with_roles: Bed) -> None:
    for verb in ("get", "update"):
        assert await may(
            with_roles, CONTROLLER, f"{verb} leases.coordination.k8s.io felix-py-controller", "kube-system"
        )
        assert not await may(with_roles, CONTROLLER, f"{verb} leases.coordination.k8s.io scheduler", "kube-system")
        assert not await may(with_roles, NODE, f"{verb} leases.coordination.k8s.io felix-py-controller", "kube-system")
    assert await may(with_roles, CONTROLLER, "create leases.coordination.k8s.io", "kube-system")
    assert not await may(with_roles, CONTROLLER, "delete leases.coordination.k8s.io felix-py-controller", "kube-system")


@pytest.mark.parametrize("what", DENIED_TO_VIEWERS)
async def test_a_viewer_may_not(with_roles: Bed, what: str) -> None:
    assert not await may(with_roles, VIEWER, what)


@pytest.mark.parametrize(
    "command", ["get nodes", "get ippools", "get bgppeers", "get wep -A", "ipam show --show-blocks"]
)
def test_a_viewer_sees_everything_with_felixctl(
    with_roles: Bed, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = with_roles.control_plane.kubeconfig_of(VIEWER)
    ended = Felixctl(f"kubernetes://{kubeconfig}", monkeypatch, capsys)(*command.split())
    assert (ended.status, ended.err) == (0, "")


async def test_a_denied_write_says_that_the_role_lacks_it(with_roles: Bed) -> None:
    store = KubeStore(lambda: read_access(str(with_roles.control_plane.kubeconfig_of(VIEWER))))
    with pytest.raises(Unavailable, match=r'create IPPool "a": .* is forbidden.*; the role of this account lacks it'):
        await store.create(IPPool.make("a", cidr="10.0.0.0/16"))
    await store.close()
