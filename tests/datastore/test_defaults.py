"""The defaults are Calico's and the ones that the documentation names."""

from __future__ import annotations

import datastore
from datastore.defaults import DEFAULT_AS_NUMBER, DEFAULT_URL
from datastore.kinds.bgp import BGPConfiguration
from datastore.sqlite import SqliteStore


def test_a_configuration_without_an_as_number_has_the_default_one() -> None:
    assert BGPConfiguration.make("default").as_number == DEFAULT_AS_NUMBER == 64512


def test_the_default_url_names_a_store() -> None:
    assert isinstance(datastore.open(DEFAULT_URL), SqliteStore)
