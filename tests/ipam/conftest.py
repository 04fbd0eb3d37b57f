"""A store in memory with a pool and two nodes, once with transactions and once without."""

from __future__ import annotations

import pytest

from ipam.allocator import Allocator
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, pool


@pytest.fixture(params=[True, False], ids=["atomic", "in-order"])
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"), node("n2"), atomic=request.param)


@pytest.fixture
def allocator(store: MemoryStore) -> Allocator:
    return Allocator(store)
