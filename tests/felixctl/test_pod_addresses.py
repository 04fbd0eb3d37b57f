"""`felixctl why POD`: what is asked for, and what is said of the pod."""

from __future__ import annotations

import json

import pytest

from tests.felixctl.command import Felixctl

CLUSTER = """
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {clusterGUID: 00112233445566778899aabbccddeeff, datastoreReady: true}
"""


def test_of_one_pod_it_says_where_its_address_comes_from(calicos: Felixctl) -> None:
    calicos("apply", "-f", "-", stdin=CLUSTER)
    ended = calicos("why", "web-1")
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[1] == "  ✓ pool default-ipv4-ippool  10.65.0.0/16: nodeSelector all() selects node node-1"
    assert lines[-1].startswith("✓ default/web-1: 10.65.84.128 is of pool default-ipv4-ippool")
    found = json.loads(calicos("why", "default/to-come", "-o", "json").out)
    assert (found["assignable"], found["pod"]["node"]) == (True, "")
    assert calicos("patch", "ippool", "default-ipv4-ippool", "-p", "spec: {disabled: true}").status == 0
    refused = calicos("why", "default/to-come")
    assert (refused.status, "✗ default/to-come: it gets no IPv4 address" in refused.out) == (1, True)
    assert "see it:    felixctl get ippools -o wide" in refused.out


@pytest.mark.parametrize("alone", ["node-1", "10.65.84.128", "fd00::1"])
def test_a_node_or_an_address_needs_the_other_end(calicos: Felixctl, alone: str) -> None:
    ended = calicos("why", alone)
    assert (ended.status, "name the other end, too" in ended.err) == (2, True)


@pytest.mark.parametrize("alone", ["", "a/b/c", "/web-1", "default/"])
def test_what_is_no_pods_name_is_refused(calicos: Felixctl, alone: str) -> None:
    ended = calicos("why", alone)
    assert (ended.status, "a pod is NAMESPACE/NAME or NAME" in ended.err) == (2, True)


def test_an_address_that_another_pod_has_is_said_to_be_its(calicos: Felixctl) -> None:
    asks = """metadata: {annotations: {cni.projectcalico.org/ipAddrs: '["10.65.84.130"]'}}"""
    assert calicos("patch", "wep", "node--1-k8s-web--1-eth0", "-p", asks).status == 0
    assert "asks for 10.65.84.130, which default/web-3 has" in calicos("why", "web-1").out
