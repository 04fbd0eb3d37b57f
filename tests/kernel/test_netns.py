"""Network namespaces made, entered and left by a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import CLONE_NEWNET, inside, is_current, kind_of, new_network_namespace
from tests.kernel.netns import Namespace

HERE = "/proc/thread-self/ns/net"


@pytest.fixture
def made() -> Iterator[int]:
    descriptor = new_network_namespace()
    yield descriptor
    os.close(descriptor)


def test_a_new_namespace_holds_lo_alone_and_this_thread_stays_outside(made: int) -> None:
    home = os.readlink(HERE)
    with inside(made):
        assert os.readlink(HERE) != home
        with closing(Devices()) as devices:
            assert [link.name for link in devices.links().values() if link.name == "lo"] == ["lo"]
            assert not any(link.up for link in devices.links().values())
    assert os.readlink(HERE) == home


def test_inside_returns_home_from_an_error(node: Namespace) -> None:
    home = os.readlink(HERE)
    with pytest.raises(ZeroDivisionError), inside(node.descriptor):
        assert os.readlink(HERE) != home
        raise ZeroDivisionError
    assert os.readlink(HERE) == home


def test_a_descriptor_that_is_no_namespace_is_refused_before_anything_changed() -> None:
    home = os.readlink(HERE)
    with (
        open("/dev/null") as file,
        pytest.raises(KernelError, match="enter the network namespace"),
        inside(file.fileno()),
    ):
        pytest.fail("went inside")
    assert os.readlink(HERE) == home


def test_a_descriptor_tells_its_kind_of_namespace(made: int) -> None:
    assert kind_of(made) == CLONE_NEWNET
    with open("/proc/self/ns/uts") as other, open("/dev/null") as file:
        assert kind_of(other.fileno()) not in (None, CLONE_NEWNET)
        assert kind_of(file.fileno()) is None


def test_only_ones_own_namespace_is_current(made: int) -> None:
    assert not is_current(made)
    with inside(made):
        assert is_current(made)
    with open(HERE) as own:
        assert is_current(own.fileno())
