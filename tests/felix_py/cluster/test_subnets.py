"""Each subnet has one Node that stands for it, whoever of the others comes and goes."""

from __future__ import annotations

from datastore.fields import interface
from felix_py.cluster.subnets import Subnets


def test_a_subnet_is_known_by_the_node_that_has_been_in_it_longest() -> None:
    subnets = Subnets()
    subnets.put("n2", [interface("192.0.2.2/24"), None])
    subnets.put("n1", [interface("192.0.2.1/24"), None])
    assert subnets.examples() == {"n2"}
    subnets.put("n2")
    assert subnets.examples() == {"n1"}
    subnets.put("n1")
    assert not subnets.examples()


def test_a_node_that_moves_is_in_its_new_subnet_alone() -> None:
    subnets = Subnets()
    subnets.put("n1", [interface("192.0.2.1/24")])
    subnets.put("n2", [interface("192.0.2.2/24"), interface("2001:db8::2/64")])
    assert subnets.examples() == {"n1", "n2"}
    subnets.put("n1", [interface("198.51.100.1/24")])
    subnets.put("n2", [interface("192.0.2.3/24")])
    assert subnets.examples() == {"n1", "n2"}
    subnets.put("n1", [interface("192.0.2.1/24")])
    assert subnets.examples() == {"n2"}


def test_two_addresses_in_one_subnet_are_one_and_a_node_may_go_that_never_came() -> None:
    subnets = Subnets()
    subnets.put("n9")
    subnets.put("n1", [interface("192.0.2.1/24"), interface("192.0.2.2/24")])
    subnets.put("n1", [interface("198.51.100.1/24")])
    assert subnets.examples() == {"n1"}
    subnets.put("n1")
    assert not subnets.examples()
