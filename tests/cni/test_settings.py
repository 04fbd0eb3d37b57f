"""A pod's device is called as Calico calls it."""

from __future__ import annotations

from cni.attachment import PodRef
from cni.settings import CniSettings


def test_the_hosts_end_is_named_after_the_pod_alone() -> None:
    settings = CniSettings("n1")
    assert settings.host_name(PodRef("default", "web-1"), "eth0") == "cali0761ccbeace"
    assert settings.host_name(PodRef("default", "web-1", uid="another"), "eth0") == "cali0761ccbeace"


def test_another_prefix_may_be_set() -> None:
    assert CniSettings("n1", interface_prefix="fx").host_name(PodRef("default", "web-1"), "eth0") == "fx0761ccbeace"
