"""The pods' networks in a ClusterConfiguration of kubeadm's."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from felix_py.startup.kubeadm import PodSubnets, pod_subnets

# As kubeadm 1.31 writes it.
WRITTEN = """\
apiServer: {}
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
kind: ClusterConfiguration
kubernetesVersion: v1.31.0
networking:
  dnsDomain: cluster.local
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/12
scheduler: {}
"""
FOUR, SIX = IPv4Network("10.244.0.0/16"), IPv6Network("fd00:10:244::/56")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.244.0.0/16", PodSubnets(FOUR)),
        ("10.244.0.0/16,fd00:10:244::/56", PodSubnets(FOUR, SIX)),
        ("fd00:10:244::/56, 10.244.0.0/16", PodSubnets(FOUR, SIX)),
        ("10.244.0.0/16,10.245.0.0/16", PodSubnets(FOUR)),
        ("10.244.0.1/16", PodSubnets(FOUR)),
        ('""', PodSubnets()),
    ],
)
def test_the_first_network_of_each_family_is_the_pods(text: str, found: PodSubnets) -> None:
    assert pod_subnets(WRITTEN.replace("10.244.0.0/16", text)) == found


def test_kubeadm_without_pod_subnets_says_none() -> None:
    for text in ("", "networking: {}", "networking:", WRITTEN.replace("podSubnet: 10.244.0.0/16", "podSubnet:")):
        assert pod_subnets(text) == PodSubnets()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("networking: [", "not YAML"),
        ("a: " + "[" * 5000, "not YAML"),
        ("- 1", ", no text"),
        ("networking: {podSubnet: [10.244.0.0/16]}", ", no text"),
        ("networking: {podSubnet: ten}", '"ten" is not a CIDR'),
        ("networking: {podSubnet: 10.244.0.0/33}", "10.244.0.0/33"),
    ],
)
def test_what_is_no_network_is_said(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pod_subnets(text)
