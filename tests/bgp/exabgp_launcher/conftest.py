"""What tests of real sessions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bgp.network import own_network


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield
