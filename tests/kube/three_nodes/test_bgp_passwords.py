"""Passwords of BGP sessions from Secrets of a real API: TCP MD5 by the kernels of three nodes and of a real BIRD."""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kube.cluster import KUBECONFIG, Cluster
from tests.kube.roles import NODE
from tests.scenarios.cluster import until

TOR, MESH = "192.0.2.4", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
FELIXCTL = f"FELIX_DATASTORE=kubernetes://{KUBECONFIG}-{NODE} {sys.executable} -m felixctl"
VALUES = {"mesh": "mesh-Qx7", "rack1": "rack1-Qx7"}


class Secured(Cluster):
    """A cluster whose sessions have passwords."""

    def store_secret(self, **values: str) -> None:
        encoded = {key: b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": "bgp-secrets", "namespace": "kube-system"}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})

    def peer_with_tor(self, key: str = "rack1", **spec: Any) -> None:
        written = {"peerIP": TOR, "asNumber": 64600, "password": reference(key), **spec}
        crd = "crd.projectcalico.org/v1"
        self.apply({"apiVersion": crd, "kind": "BGPPeer", "metadata": {"name": "tor"}, "spec": written})

    def set_bird(self, password: str, *, dials: bool = False) -> None:
        """Give BIRD this password for each of its sessions, and have it dial or wait."""
        options = f'passive {"off" if dials else "on"}; password "{password}"; graceful restart on;'
        edit = rf"s/ passive (on|off); (password \S+; )?graceful restart on;/ {options}/"
        self.lab.run("tor", "sed", "-E", "-i", edit, "/run/bird.conf")
        assert "Reconfigur" in self.lab.run("tor", "birdc", "-s", "/run/bird.ctl", "configure")

    def sessions(self, node: str = "n1") -> dict[str, dict[str, Any]]:
        return {peer["address"]: peer for peer in self.lab.page(node, "status").get("peers", ())}

    def state(self, address: str, node: str = "n1") -> str:
        return str(self.sessions(node).get(address, {}).get("state"))

    def since(self) -> dict[str, float]:
        """Return when each session of n1 came into its state, in seconds since the epoch."""
        return {address: session["since"] for address, session in self.sessions().items()}

    def came_up_after(self, moment: float, address: str) -> bool:
        session = self.sessions().get(address, {})
        return session.get("state") == "up" and session["since"] > moment

    def ends_told(self) -> str:
        """Return what n1's sidecar and BIRD have told of sessions of n1 of late, and how those are."""
        told = "grep -F bgp_n1_ /var/log/bird.log | tail -n 40; birdc -s /run/bird.ctl show protocols all bgp_n1_v4"
        sidecar = self.lab.run("n1", "tail", "-n", "40", "/var/log/sidecar.log")
        bird = self.lab.run("tor", "sh", "-c", told)
        return f"n1 has {self.sessions()}\nits sidecar says:\n{sidecar}\nBIRD says:\n{bird}"

    def mesh_is(self, state: str) -> bool:
        return all(
            self.state(address, node) == state
            for node, own in zip(self.lab.nodes, MESH, strict=True)
            for address in MESH
            if address != own
        )

    def signed(self, node: str = "n1") -> set[str]:
        """Return the peers with whom the kernel speaks by TCP MD5 only."""
        connections = self.lab.run(node, "ss", "-tnpi", "state", "established")
        return set(re.findall(r"md5keys:([0-9.]+)/32=", connections))

    def notices(self, node: str = "n1") -> list[str]:
        return [notice["reason"] for notice in self.lab.page(node, "status").get("notices", ())]

    def node_status(self) -> str:
        return self.lab.run("n1", "sh", "-c", f"exec 2>&1\n{FELIXCTL} node status")


def no_session_of_n1_has_ended(cluster: Secured, before: dict[str, float]) -> None:
    """Fail with what both ends say if a session is not in its state since the same moment as before."""
    since = cluster.since()
    assert since == before, cluster.ends_told()


def reference(key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": "bgp-secrets", "key": key}}


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Iterator[Secured]:
    secured = Secured(cluster.lab)
    secured.store_secret(**VALUES)
    mesh = {"metadata": {"name": "default"}, "spec": {"nodeMeshPassword": reference("mesh")}}
    secured.apply({"apiVersion": "crd.projectcalico.org/v1", "kind": "BGPConfiguration", **mesh})
    secured.set_bird(VALUES["rack1"])
    secured.peer_with_tor()
    until(lambda: secured.mesh_is("up") and secured.state(TOR) == "up", "all sessions are up")
    yield secured
    secured.kubectl("delete", "bgppeers.crd.projectcalico.org", "tor")
    secured.kubectl("delete", "bgpconfigurations.crd.projectcalico.org", "default")
    until(lambda: not secured.signed() and secured.lab.settled(), "the mesh is up without passwords")


def test_the_mesh_and_a_bird_have_the_passwords_of_their_keys(cluster: Secured) -> None:
    until(lambda: cluster.signed() == {TOR, *MESH[1:]}, "every connection is signed")
    until(lambda: f"203.0.113.0/24 via {TOR}" in cluster.lab.routes("n1", "proto", "81"), "BIRD's network is learned")


def test_a_wrong_password_brings_no_session_up_and_the_right_one_does(cluster: Secured) -> None:
    cluster.set_bird("guess")
    until(lambda: cluster.state(TOR) == "start", "BIRD has another password")
    until(lambda: "a peer with another password gives none" in cluster.node_status(), "BIRD gives no answer")
    cluster.set_bird("guess", dials=True)
    until(lambda: "a peer signs with another password" in cluster.node_status(), "the kernel drops what BIRD signs")
    cluster.set_bird("guess")
    cluster.store_secret(**VALUES, rack2="guess")
    cluster.peer_with_tor("rack2")
    until(lambda: cluster.state(TOR) == "up", "both have the other password")
    flaps = {address: cluster.sessions()[address]["flaps"] for address in MESH[1:]}
    cluster.store_secret(**VALUES, rack2=VALUES["rack1"])
    cluster.set_bird(VALUES["rack1"])
    until(lambda: cluster.state(TOR) == "up" and cluster.sessions()[TOR]["flaps"] >= 2, "the value changed at both")
    assert {address: cluster.sessions()[address]["flaps"] for address in MESH[1:]} == flaps
    cluster.store_secret(**VALUES)
    until(lambda: cluster.state(TOR) == "held back", "its key is gone")
    assert 'Secret kube-system/bgp-secrets has no key "rack2"' in cluster.node_status()
    cluster.peer_with_tor()
    until(lambda: cluster.state(TOR) == "up", "it names the key that is there")


def test_a_secret_that_is_gone_ends_its_sessions_with_the_reason(cluster: Secured) -> None:
    cluster.kubectl("delete", "secret", "bgp-secrets", "-n", "kube-system")
    until(lambda: cluster.mesh_is("held back") and cluster.state(TOR) == "held back", "no session is left")
    status = cluster.node_status()
    assert "there is no Secret kube-system/bgp-secrets; its sessions are not brought up" in status
    assert "there is no Secret kube-system/bgp-secrets" in cluster.sessions()[TOR]["info"]
    cluster.store_secret(**VALUES)
    until(lambda: cluster.mesh_is("up") and cluster.state(TOR) == "up", "the Secret is back, and so are they")


def test_a_right_that_is_lost_ends_no_session_and_is_a_notice_until_it_returns(cluster: Secured) -> None:
    """A session whose key changes meanwhile is obeyed, with what was read before."""
    binding = cluster.get("rolebinding", "felix-py-bgp-passwords", "-n", "kube-system")
    before = cluster.since()
    cluster.kubectl("delete", "rolebinding", "felix-py-bgp-passwords", "-n", "kube-system")
    cluster.signal_api_server("KILL")  # rights are looked at when a watch begins
    until(lambda: any("cannot be read any more" in notice for notice in cluster.notices()), "the lost right is told")
    no_session_of_n1_has_ended(cluster, before)
    assert "its sessions go on with the password last read" in cluster.node_status()
    cluster.lab.ask("kill", node="n1", what="agent")
    until(lambda: any("cannot be read any more" in notice for notice in cluster.notices()), "so does the next agent")
    until(cluster.sessions, "it has its sidecar's status")
    no_session_of_n1_has_ended(cluster, before)
    cluster.peer_with_tor("mesh")
    cluster.set_bird(VALUES["mesh"])
    until(lambda: cluster.came_up_after(before[TOR], TOR), "another key")
    with_mesh_key = cluster.since()[TOR]
    cluster.peer_with_tor()
    cluster.set_bird(VALUES["rack1"])
    until(lambda: cluster.came_up_after(with_mesh_key, TOR), "its own key again")
    record = {**binding, "metadata": {"name": binding["metadata"]["name"], "namespace": "kube-system"}}
    cluster.apply(record)
    until(lambda: not any("cannot be read" in notice for notice in cluster.notices()), "the right is back")
    until(lambda: cluster.mesh_is("up") and cluster.state(TOR) == "up", "all sessions are up")


def test_neither_an_agent_nor_a_sidecar_that_starts_anew_changes_a_password(cluster: Secured) -> None:
    before = cluster.since()
    cluster.signal_api_server("STOP")
    try:
        cluster.lab.ask("kill", node="n1", what="agent")
        until(lambda: not cluster.lab.page("n1", "status"), "the agent has ended")
    finally:
        cluster.signal_api_server("CONT")
    until(lambda: cluster.lab.page("n1", "status").get("ready"), "the agent is back")
    until(cluster.sessions, "it has its sidecar's status")
    no_session_of_n1_has_ended(cluster, before)
    cluster.lab.ask("kill", node="n1", what="sidecar")
    until(lambda: set(cluster.sessions()) == set(before), "the sidecar is configured")
    until(lambda: cluster.mesh_is("up") and cluster.state(TOR) == "up", "all sessions are up again")
    until(lambda: cluster.signed() == {TOR, *MESH[1:]}, "every connection is signed")


def test_no_password_is_to_be_found_anywhere_but_where_it_has_to_be(cluster: Secured) -> None:
    """In no log, page, process list or archive, and in no file that others may read."""
    values = [*VALUES.values(), *(b64encode(value.encode()).decode() for value in VALUES.values())]
    secrets = "|".join(f"{value[:-1]}[{value[-1]}]" for value in values)  # which this command itself does not match
    run = f"""
        cat /var/log/*.log; ps axwwe
        curl -s --unix-socket /run/felix/status.sock http://localhost/status http://localhost/metrics
        {FELIXCTL} node status
        {FELIXCTL} node diags -o /tmp/diags.tar.gz; tar xzOf /tmp/diags.tar.gz; rm /tmp/diags.tar.gz
        find /run /srv /var /tmp /etc -type f -perm /044 -size -9M -exec grep -lE '{secrets}' {{}} + 2>/dev/null
        echo END
    """
    found = cluster.lab.run("n1", "sh", "-c", f"exec 2>&1\n{run}")
    assert found.rstrip().endswith("END") and "md5-password" in found
    assert [line for line in found.splitlines() if re.search(secrets, line)] == []
