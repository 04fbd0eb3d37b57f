"""The commands that are run most, without the library that parses command lines: importing it takes as long as they do.

A line is taken here only where it is, word for word, one of a few that leave everything else at its default; the
environment counts as it does for typer. All other lines are typer's, and so are help, completion and mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from datastore.defaults import DEFAULT_NAMESPACE, DEFAULT_URL
from felixctl.datastore_choice import GivenBy, chosen_url
from felixctl.errors import FAILED
from felixctl.host_settings import AGENTS_NAMESPACE, DATASTORE, DEFAULT_RUN_DIR, RUN_DIR, USUAL_NAMESPACE
from felixctl.lean_imports import load_msgspec
from felixctl.terminal import flush, mute

if TYPE_CHECKING:  # only who asks for a table needs the kinds
    from felixctl.resources.kinds import Noun

COMPLETION = "_FELIXCTL_COMPLETE"
"""Set by a shell that wants to know how the line may go on."""
INTERRUPTED = 130


class TableOptions(NamedTuple):
    """What a table shows of a kind."""

    wide: bool = False
    all_namespaces: bool = False


Command: TypeAlias = Callable[[Mapping[str, str]], bool]
"""Run a command with the environment, and return whether all is well."""


def direct_command(words: Sequence[str], environment: Mapping[str, str]) -> Callable[[], int] | None:
    """Return what runs this line and returns its exit status; None: it is typer's. Running it raises CommandError."""
    command = LINES.get(tuple(words)) or _table(words)
    if command is None or COMPLETION in environment:
        return None
    return lambda: _status(command, environment)


def _status(command: Command, environment: Mapping[str, str]) -> int:
    """Run a command, and return its exit status, also where it is interrupted as typer's commands may be."""
    try:
        well = command(environment)
        flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        mute()
        return FAILED
    return 0 if well else FAILED


def _version(environment: Mapping[str, str]) -> bool:
    from felixctl.versions import print_versions

    print_versions(_url(environment))
    return True


def _client_version(environment: Mapping[str, str]) -> bool:
    from felixctl.versions import print_versions

    print_versions("", client_alone=True)
    return True


def _node_status(environment: Mapping[str, str]) -> bool:
    load_msgspec()
    from felixctl.node.print_status import own_status, print_status

    print_status(*own_status(_run_dir(environment)))
    return True


def _ipam_check(environment: Mapping[str, str]) -> bool:
    from felixctl.ipam.check import checks_out

    namespace = environment.get(AGENTS_NAMESPACE) or USUAL_NAMESPACE
    return checks_out(_url(environment), _run_dir(environment), agents_namespace=namespace)


LINES: Mapping[tuple[str, ...], Command] = {
    ("version",): _version,
    ("version", "--client"): _client_version,
    ("node", "status"): _node_status,
    ("ipam", "check"): _ipam_check,
}


TABLES: Mapping[tuple[str, ...], TableOptions] = {
    (): TableOptions(),
    ("-A",): TableOptions(all_namespaces=True),
    ("-o", "wide"): TableOptions(wide=True),
    ("-A", "-o", "wide"): TableOptions(wide=True, all_namespaces=True),
    ("-o", "wide", "-A"): TableOptions(wide=True, all_namespaces=True),
}
"""What may follow `get KIND`."""


def _table(words: Sequence[str]) -> Command | None:
    """Return what prints the table of a kind that is known, where that is what is asked for."""
    verb, word, options = words[:1], words[1:2], TABLES.get(tuple(words[2:]))
    if list(verb) != ["get"] or not word or options is None:
        return None
    from felixctl.resources.kinds import UnknownKindError, noun

    try:
        return partial(_get, noun(word[0]), options)
    except UnknownKindError:
        return None


def _get(noun: Noun, options: TableOptions, environment: Mapping[str, str]) -> bool:
    from felixctl.resources.print_table import print_table

    within = None if options.all_namespaces else DEFAULT_NAMESPACE
    print_table(_url(environment), noun, within, wide=options.wide, namespaces=options.all_namespaces)
    return True


def _url(environment: Mapping[str, str]) -> str:
    given = environment.get(DATASTORE)
    source = GivenBy.ENVIRONMENT if given else GivenBy.DEFAULT
    return chosen_url(given or DEFAULT_URL, source, {}, environment)


def _run_dir(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(RUN_DIR) or DEFAULT_RUN_DIR)
