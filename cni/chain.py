"""The reference plugins that stand behind ours, as in Calico's list: those whose executables the runtime would find.

hostPort needs portmap, the bandwidth annotations need bandwidth. Without its executable a plugin in the list would fail
every pod, so it is left out then.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from cni.host_local import HOST_LOCAL
from cni.request import VERSIONS

log = logging.getLogger("cni.chain")

PLUGINS: Final[Mapping[str, Mapping[str, Any]]] = {
    "portmap": {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
    "bandwidth": {"type": "bandwidth", "capabilities": {"bandwidth": True}},
}
"""As in Calico's manifests, in the order of the list."""

SERVES: Final = {"portmap": "hostPort", "bandwidth": "bandwidth limit"}
"""What a pod may ask for that a plugin does."""

OURS: Final = "felix"
ANSWER_SECONDS: Final = 10.0


class PluginChain(Struct, frozen=True):
    """What stands behind our plugin."""

    plugins: tuple[str, ...] = ()
    versions: tuple[str, ...] = VERSIONS
    """Those of the specification that every plugin of the list speaks."""

    def lacking(self) -> tuple[str, ...]:
        """Return the reference plugins that are not there, or cannot be asked for their versions."""
        return tuple(name for name in PLUGINS if name not in self.plugins)


Marks = tuple[tuple[int, int, int] | None, ...]


def marks(folder: Path) -> Marks:
    """Return what changes when one of the executables comes, goes or is replaced. It costs two look-ups."""
    return tuple(_mark(folder / name) for name in PLUGINS)


def found_in(folder: Path) -> PluginChain:
    """Return what is in a folder and can be asked for its versions. It runs each executable: for a thread."""
    chain = PluginChain()
    for name in PLUGINS:
        path = folder / name
        if not path.exists():
            continue
        try:
            spoken = versions_of(path)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.error("ask %s for its versions: %s; it is left out of the network's list", path, error)
            continue
        common = tuple(version for version in chain.versions if version in spoken)
        if not common:
            log.error("%s speaks %s only; it is left out of the network's list", path, ", ".join(sorted(spoken)))
            continue
        chain = PluginChain((*chain.plugins, name), common)
    return chain


def lacking(document: Mapping[str, Any], folder: Path) -> list[str]:
    """Return which plugins of a list that somebody gave are not in a folder; ours is never missed here."""
    plugins = [plugin for plugin in document.get("plugins", ()) if isinstance(plugin, dict)]
    types = [plugin.get("type") for plugin in plugins]
    sections = [plugin.get("ipam") for plugin in plugins]
    types += [HOST_LOCAL for ipam in sections if isinstance(ipam, dict) and ipam.get("type") == HOST_LOCAL]
    return [str(one) for one in types if one != OURS and not (folder / str(one)).exists()]


def versions_of(executable: Path) -> frozenset[str]:
    """Return which versions of the specification a plugin speaks.

    Raises OSError or SubprocessError: it does not run, or takes too long. ValueError: it gives another answer.
    """
    environment = {"CNI_COMMAND": "VERSION", "CNI_PATH": str(executable.parent), "PATH": os.environ.get("PATH", "")}
    asked = json.dumps({"cniVersion": VERSIONS[-1]}).encode()
    ended = subprocess.run(
        [executable], input=asked, env=environment, capture_output=True, timeout=ANSWER_SECONDS, check=False
    )
    try:
        answer = json.loads(ended.stdout)
    except RecursionError:
        answer = None
    match answer:
        case {"supportedVersions": [*spoken]} if all(isinstance(one, str) for one in spoken):
            return frozenset(spoken)
        case _:
            raise ValueError(f"it answers {ended.stdout[:200]!r}")


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
