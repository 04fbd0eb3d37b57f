"""The words of a command line, before anything is made of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from felixctl.errors import MISUSED, CommandError

VERSION_OPTION = "--allow-version-mismatch"


def understood(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without calicoctl's option that may stand anywhere and asks for what is always so.

    Raises CommandError: one is no text.
    """
    _reject_bytes(arguments)
    if arguments[:1] == ["lab"]:
        return list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [word for at, word in enumerate(arguments) if at > end or word != VERSION_OPTION]


def _reject_bytes(arguments: Iterable[str]) -> None:
    """Raise CommandError for an argument that is no UTF-8: no name, label or patch can hold it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise CommandError(f"argument {argument!a} is not UTF-8 text", MISUSED) from None
