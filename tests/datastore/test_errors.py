"""A caller that catches DatastoreError catches all that a store raises."""

from __future__ import annotations

import inspect

from datastore import errors
from datastore.errors import DatastoreError


def test_every_error_of_the_package_has_one_base() -> None:
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]
    assert len(classes) > 1
    assert all(issubclass(found, DatastoreError) for found in classes)
