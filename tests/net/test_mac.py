from __future__ import annotations

import pytest

from net.mac import is_device_mac


@pytest.mark.parametrize("text", ["02:00:00:00:00:01", "EE:ee:ee:ee:ee:ee"])
def test_what_a_device_can_have(text: str) -> None:
    assert is_device_mac(text)


@pytest.mark.parametrize(
    "text", ["", "zz", "02:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01\n"]
)
def test_what_no_device_can_have(text: str) -> None:
    assert not is_device_mac(text)
