"""The settings of the whole cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastore.errors import Invalid
from datastore.kinds.cluster import ClusterInformation
from datastore.record import Resource

REFUSED = [
    (lambda: ClusterInformation.make("default", datastoreReady="true"), 'spec.datastoreReady "true"'),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)
