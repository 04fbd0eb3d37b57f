"""What is found of container runtimes, the plugin, the configuration and packet filters."""

from __future__ import annotations

import tomllib

import pytest
from msgspec.structs import replace

from felixctl.node.findings import Availability, Finding
from felixctl.node.runtime_requirements import HostFiles, Runtime, containerd, crio, findings, podman
from net.packet_filter import Action, Chain, Condition, Field, Hook, PacketFilters, Rule

GOOD = HostFiles(
    plugin=True, configurations=("10-felix.conflist",), runtimes=(Runtime("containerd"),), filters=PacketFilters()
)


def found(host: HostFiles, name: str) -> Finding:
    (one,) = [finding for finding in findings(host) if finding.name == name]
    return one


def test_a_host_that_has_all_has_no_details() -> None:
    assert {(one.state, one.detail) for one in findings(GOOD)} == {(Availability.PRESENT, "")}


def test_a_missing_plugin_fails_with_the_command_that_makes_it() -> None:
    missing = found(replace(GOOD, plugin=False), "CNI plugin")
    assert missing.fails and missing.detail.endswith("python -m cni.build /opt/cni/bin/felix")


def test_a_configuration_that_comes_first_fails_and_ours_is_the_agents_to_write() -> None:
    first = found(replace(GOOD, configurations=("05-bridge.conf",)), "CNI configuration")
    assert first.fails and "another configuration comes first in /etc/cni/net.d: 05-bridge.conf" in first.detail
    for names in ((), None, ("87-podman.conflist",)):
        assert found(replace(GOOD, configurations=names), "CNI configuration").state is Availability.BY_AGENT


def test_a_host_without_runtime_is_told_and_fails_nothing() -> None:
    none = found(replace(GOOD, runtimes=()), "container runtime")
    assert (none.state, none.fails) == (Availability.MISSING, False)


def test_what_a_container_does_not_see_is_not_said_to_be_missing() -> None:
    unseen = found(replace(GOOD, runtimes=None), "container runtime")
    assert (unseen.state, unseen.fails) == (Availability.UNKNOWN, False)
    assert unseen.detail.startswith("this container does not see the host's /run/containerd/containerd.sock")


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (
            Runtime("CRI-O", "/etc/crio/net.d"),
            "it looks for configurations in /etc/crio/net.d; ours is in /etc/cni/net.d",
        ),
        (
            Runtime("CRI-O", plugin_dirs=("/usr/lib/cni",)),
            "it looks for plugins in /usr/lib/cni; ours is in /opt/cni/bin",
        ),
    ],
)
def test_a_runtime_that_looks_elsewhere_fails_with_both_places(runtime: Runtime, words: str) -> None:
    elsewhere = found(replace(GOOD, runtimes=(runtime,)), "CRI-O")
    assert elsewhere.fails and elsewhere.detail == words


def test_where_runtimes_look_is_read_from_their_configurations() -> None:
    second = '[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/c"\nbin_dir = "/b"\n'
    third = '[plugins."io.containerd.cri.v1.runtime".cni]\nbin_dirs = ["/b", "/d"]\n'
    assert containerd(tomllib.loads(second)) == Runtime("containerd", "/c", ("/b",))
    assert containerd(tomllib.loads(third)) == Runtime("containerd", plugin_dirs=("/b", "/d"))
    assert containerd({"plugins": 3}) == Runtime("containerd")
    assert crio(tomllib.loads('[crio.network]\nnetwork_dir = "/n"\n')) == Runtime("CRI-O", "/n")
    assert podman(tomllib.loads('[network]\ncni_plugin_dirs = ["/p"]\n')) == Runtime("podman", plugin_dirs=("/p",))


def filters(hook: Hook, *rules: Rule, drops: bool = True) -> HostFiles:
    return replace(GOOD, filters=PacketFilters((Chain("nft", "ip f", "own", rules, hook, drops=drops),)))


def test_a_chain_that_drops_what_pods_send_fails_with_its_name() -> None:
    forwarding = found(filters(Hook.FORWARD), "packet filters, forwarding")
    assert forwarding.fails
    assert forwarding.detail == "nft table ip f, chain own, policy drop drops them; nft list chain ip f own shows it"


def test_a_chain_that_drops_bgp_fails() -> None:
    port = Condition(Field.DESTINATION_PORT, ((b"\0\xb3", b"\0\xb3"),))
    host = filters(Hook.INPUT, Rule((port,), Action.DROP), drops=False)
    assert found(host, "packet filters, BGP").fails
    assert found(host, "packet filters, forwarding").state is Availability.PRESENT


def test_a_chain_that_lets_some_addresses_pass_is_not_known_to_drop_pods() -> None:
    pods = Condition(Field.SOURCE, ((b"\x0a", b"\x0a"),))
    some = found(filters(Hook.FORWARD, Rule((pods,), Action.ACCEPT)), "packet filters, forwarding")
    assert (some.state, some.fails) == (Availability.UNKNOWN, False)
    assert "may drop some" in some.detail


def test_filters_that_were_not_read_are_not_known() -> None:
    for unread in (None, PacketFilters(unread=("read nftables: EPERM",))):
        assert found(replace(GOOD, filters=unread), "packet filters, BGP").state is Availability.UNKNOWN
