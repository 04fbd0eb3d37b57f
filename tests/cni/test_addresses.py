"""Addresses as others write them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from cni.addresses import read_address
from cni.errors import CniError, Code


@pytest.mark.parametrize("text", ["10.65.1.2", "10.65.1.2/32", "fd00:10::1", "fd00:10::1/128"])
def test_an_address_is_read_with_and_without_a_length(text: str) -> None:
    assert read_address(text) == ip_address(text.partition("/")[0])


@pytest.mark.parametrize("text", ["", "10.65.1", "/32", "web-1"])
def test_what_is_no_address_is_code_7_and_named(text: str) -> None:
    with pytest.raises(CniError, match="asked for as an address, is not one") as caught:
        read_address(text)
    assert caught.value.code is Code.INVALID_CONFIGURATION
    assert repr(text) in caught.value.sentence
