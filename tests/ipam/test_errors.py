"""A caller that catches IpamError catches every refusal of an address."""

from __future__ import annotations

import inspect

from ipam import errors
from ipam.errors import IpamError


def test_every_error_of_the_package_has_one_base() -> None:
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]
    assert len(classes) > 1
    assert all(issubclass(found, IpamError) for found in classes)
