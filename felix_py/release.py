"""Which release of felix-py is installed, by the name of the folder that says so (PEP 376).

`importlib.metadata` reads every distribution's files for that, and brings the parser of e-mail along.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

DISTRIBUTION = "felix-py"


def installed_release() -> str:
    """Return its version, as pip wrote it. Raises PackageNotFoundError: felix-py is not installed."""
    found = next(_installed(DISTRIBUTION, sys.path), None)
    if found is None:
        from importlib.metadata import version  # other installers may have written it otherwise

        found = version(DISTRIBUTION)
    return found


def _installed(distribution: str, folders: Iterable[str]) -> Iterator[str]:
    """Yield the versions that are installed of a distribution."""
    name = re.compile(rf"{re.escape(distribution.replace('-', '_'))}-(.+)\.dist-info")
    for folder in folders:
        with suppress(OSError):
            yield from (found[1] for entry in os.listdir(folder or ".") if (found := name.fullmatch(entry)))
