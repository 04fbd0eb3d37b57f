"""Names of endpoints and devices, as Calico makes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.names import interface_name, label_faults, name_faults, object_name, workload_endpoint_name
from datastore.record import is_name


@pytest.mark.parametrize("name", ["a", "a-1.b", "node--1-k8s-web--0-eth0", "a" * 253])
def test_kubernetes_takes_these_names(name: str) -> None:
    assert list(name_faults(name, None)) == []


@pytest.mark.parametrize("name", ["", "-a", "a.", "a..b", "a.-b", "A", "a_b", "a" * 254, "a\n", "\x1b[2J"])
def test_kubernetes_takes_no_other_names(name: str) -> None:
    assert [fault.partition(" ")[0] for fault in name_faults(name, None)] == ["metadata.name"]


@pytest.mark.parametrize("namespace", ["", "a.b", "a" * 64, "-a", "a\n", "\x1b", "ä"])
def test_a_namespace_is_a_dns_label(namespace: str) -> None:
    assert [fault.partition(" ")[0] for fault in name_faults("a", namespace)] == ["metadata.namespace"]
    assert not [*name_faults("a", "kube-system"), *name_faults("a", "a" * 63)]


@pytest.mark.parametrize(
    ("key", "value"),
    [("rack", "a"), ("a" * 63, ""), ("example.org/Rack_1.b", "A-1"), ("node-role.kubernetes.io/control-plane", "")],
)
def test_kubernetes_takes_these_labels(key: str, value: str) -> None:
    assert list(label_faults({key: value})) == []


@pytest.mark.parametrize("key", ["", "a b", "-a", "a" * 64, "/a", "example.org/", "Example.org/a", "a/b/c", "a\n", "ä"])
def test_kubernetes_takes_no_other_keys_of_labels(key: str) -> None:
    [fault] = label_faults({key: "a"})
    assert fault.startswith(f'metadata.labels "{key}" is no key of a label: at most 63 letters')


@pytest.mark.parametrize("value", ["a b", "a,b", "a" * 64, "-", "a\n", "ä"])
def test_kubernetes_takes_no_other_values_of_labels(value: str) -> None:
    [fault] = label_faults({"rack": value})
    assert fault.startswith(f'metadata.labels.rack "{value}" is no value of a label')


names = st.text("abz019-", min_size=1, max_size=20)


def test_an_endpoint_is_named_for_node_and_pod_with_dashes_doubled() -> None:
    assert workload_endpoint_name("node-1", "web-0") == "node--1-k8s-web--0-eth0"


@given(names, names, names, names)
def test_different_pods_have_different_endpoints(node: str, pod: str, other_node: str, other_pod: str) -> None:
    same = (node.strip("-"), pod.strip("-")) == (other_node.strip("-"), other_pod.strip("-"))
    one = workload_endpoint_name(f"n{node.strip('-')}n", f"p{pod.strip('-')}p")
    other = workload_endpoint_name(f"n{other_node.strip('-')}n", f"p{other_pod.strip('-')}p")
    assert (one == other) is same


def test_each_device_of_a_pod_has_an_endpoint_and_a_name_of_its_own() -> None:
    assert workload_endpoint_name("n1", "web", endpoint="net1") == "n1-k8s-web-net1"
    assert interface_name("default", "web", device="net1") != interface_name("default", "web")
    assert interface_name("default", "web.net1") != interface_name("default", "web", device="net1")


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_every_text_gives_a_name_that_an_object_can_have_and_two_texts_two_names(one: str, other: str) -> None:
    assert is_name(object_name(one))
    assert (object_name(one) == object_name(other)) is (one == other)


def test_a_pod_with_the_longest_name_and_many_dashes_has_an_endpoint() -> None:
    pod = "abc-" * 61 + "a"
    assert is_name(workload_endpoint_name("node-1", pod))
    assert workload_endpoint_name("node-1", pod) != workload_endpoint_name("node-1", pod[:-1] + "b")


def test_a_device_is_named_for_its_pod_alone_and_fits_the_kernels_15_characters() -> None:
    assert interface_name("default", "web-0") == interface_name("default", "web-0")
    assert interface_name("default", "web-0") != interface_name("other", "web-0")
    assert interface_name("default", "web-0").startswith("cali")
    assert len(interface_name("a" * 63, "b" * 253)) == 15
