"""What of a resource is accepted and not obeyed, as text.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from datastore.record import Resource
from felix_py.notices.unobeyed_fields import notices_of
from net.printable import one_line


def as_lines(resources: Iterable[Resource], *, has_namespaces: bool = False) -> str:
    """Return a line for each notice, for the standard error of the command that wrote the resources.

    has_namespaces: whether their datastore has Namespaces, with labels.
    """
    found = (notice for resource in resources for notice in notices_of(resource, has_namespaces=has_namespaces))
    return "".join(f"notice: {one_line(str(notice))}\n" for notice in found)


def as_comments(resources: Iterable[Resource], *, has_namespaces: bool = False) -> str:
    """Return the notices as YAML comments, which stand before the resources and are ignored when these are applied."""
    return "".join(f"# {line}\n" for line in as_lines(resources, has_namespaces=has_namespaces).splitlines())
