from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel.links import Devices
from kernel.netns import inside
from kernel.rtnetlink import Rtnetlink
from tests.kernel.netns import Namespace, namespace


@pytest.fixture
def node() -> Iterator[Namespace]:
    """A node: lo up, and eth0 with 192.0.2.1/24 and 2001:db8::1/64, whose other end nobody uses."""
    with namespace("node") as made:
        made.batch(
            "link set lo up\n"
            "link add eth0 type veth peer name far\n"
            "addr add 192.0.2.1/24 dev eth0\n"
            "addr add 2001:db8::1/64 dev eth0 nodad\n"
            "link set eth0 up\n"
            "link set far up\n"
        )
        made.await_own("2001:db8::1")
        yield made


@pytest.fixture
def pod() -> Iterator[Namespace]:
    with namespace("pod") as made:
        yield made


@pytest.fixture
def kernel(node: Namespace) -> Iterator[Rtnetlink]:
    with inside(node.descriptor):
        made = Rtnetlink()
    with closing(made):
        yield made


@pytest.fixture
def devices(node: Namespace) -> Iterator[Devices]:
    with inside(node.descriptor):
        made = Devices()
    with closing(made):
        yield made
