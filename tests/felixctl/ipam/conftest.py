"""A store of records that a real Calico wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from datastore.store import Store
from tests.felixctl.ipam.cluster import filled


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await filled()
    yield opened
    await opened.close()
