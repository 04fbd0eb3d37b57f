"""What a command takes from this host's settings file: where the agent has its datastore and its sockets.

The agent reads the whole file and complains of it. An option and the environment come before it, as for the agent.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from felixctl.terminal import warn

DATASTORE, RUN_DIR = NAMES = ("FELIX_DATASTORE", "FELIX_RUN_DIR")
USUAL = Path("/etc/felix/felix.cfg")
DEFAULT_RUN_DIR = Path("/run/felix")
STATUS_SOCKET = "status.sock"
AGENTS_NAMESPACE, USUAL_NAMESPACE = "FELIX_AGENTSNAMESPACE", "kube-system"
"""Where the pods of agents and controller are; not a setting of theirs, who know it."""


def take(environment: MutableMapping[str, str], usual: Path = USUAL) -> None:
    """Add to the environment what it lacks of NAMES. A file that can't be read is said, not passed over."""
    missing = [name for name in NAMES if not environment.get(name)]
    path = Path(environment.get("FELIX_CONFIG") or usual)
    try:
        found = settings_in(path.read_text(errors="replace")) if missing else {}
    except FileNotFoundError:
        return
    except OSError as error:
        names = " and ".join(missing)
        warn(f"felixctl: read {path}: {error.strerror}; {names} may stand there, the defaults count\n")
        return
    environment.update({name: found[name] for name in missing if found.get(name)})


def settings_in(text: str) -> dict[str, str]:
    """Return the lines `NAME = value` of a settings file. Pure."""
    pairs = (line.partition("#")[0].partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
