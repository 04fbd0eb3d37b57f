"""The settings of the whole cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastore.errors import Invalid
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.refusals import refusals
from datastore.record import Resource

REFUSED = [
    (lambda: ClusterInformation.make("default", datastoreReady="true"), 'spec.datastoreReady "true"'),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("routeRefreshInterval", "often", 'spec.routeRefreshInterval "often" is not a duration such as 90s or 1m30s'),
        ("routeRefreshInterval", "", 'spec.routeRefreshInterval "" is not a duration such as 90s or 1m30s'),
        ("ipForwarding", "Auto", 'spec.ipForwarding "Auto" is not one of Enabled, Disabled'),
        ("deviceRouteProtocol", 256, "spec.deviceRouteProtocol 256 is not between 0 and 255"),
        ("healthPort", 0, "spec.healthPort 0 is not between 1 and 65535"),
        ("prometheusMetricsPort", 0, "spec.prometheusMetricsPort 0 is not between 1 and 65535"),
    ],
)
def test_a_wrong_value_of_a_field_that_is_not_obeyed_costs_no_other(field: str, value: object, sentence: str) -> None:
    written = {"metadata": {"name": "default"}, "spec": {"ipipMTU": 1400, field: value}}
    configuration = FelixConfiguration.read(written)
    assert configuration.spec.ipip_mtu == 1400
    assert list(refusals(configuration)) == [f'FelixConfiguration "default": {sentence}']
