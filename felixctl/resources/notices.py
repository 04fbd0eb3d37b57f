"""What of a resource is accepted and not obeyed, as text.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from datastore.record import Resource
from felix_py.notices import notices_of
from net.printable import one_line


def as_lines(resources: Iterable[Resource]) -> str:
    """Return a line for each notice, for the standard error of the command that wrote the resources."""
    return "".join(f"notice: {one_line(str(notice))}\n" for resource in resources for notice in notices_of(resource))


def as_comments(resources: Iterable[Resource]) -> str:
    """Return the notices as YAML comments, which stand before the resources and are ignored when these are applied."""
    return "".join(f"# {line}\n" for line in as_lines(resources).splitlines())
