"""Which datastore a command is for: the one that is given, else that of calicoctl's settings, else the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from pathlib import Path

from datastore.errors import Invalid
from felixctl.errors import CommandError


class GivenBy(StrEnum):
    """Where a URL comes from."""

    OPTION = auto()
    ENVIRONMENT = auto()
    DEFAULT = auto()


class RefusedUrl(str):
    """No datastore can be chosen; why is raised where it is opened, since not every call of a command needs one."""

    __slots__ = ("error",)
    error: Exception

    @classmethod
    def of(cls, error: Exception) -> RefusedUrl:
        refused = cls("")
        refused.error = error
        return refused


def chosen_url(url: str, source: GivenBy, options: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return the URL of the datastore, or a RefusedUrl.

    options: calicoctl's --config and --context, where they are given.
    """
    try:
        return _chosen(url, source, options, environment)
    except CommandError as error:
        return RefusedUrl.of(error)


def _chosen(url: str, source: GivenBy, options: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Raises CommandError: what is asked for can't be done."""
    from datastore.url import SqliteFile, parse_url
    from felixctl import calico_settings

    if source is not GivenBy.DEFAULT:
        url = calico_settings.with_named_group(url, environment)
        if source is GivenBy.ENVIRONMENT:
            calico_settings.overruled(url, environment)
        return calico_settings.with_options(url, options)
    if asked := calico_settings.chosen(options, environment):
        return asked
    if isinstance(usual := parse_url(url), SqliteFile) and usual.path:
        calico_settings.hint(environment, usual.path)
    return url


def existing_file(url: str) -> Path | None:
    """Return the file that is the datastore, if one is and it is there."""
    from datastore.url import SqliteFile, parse_url

    try:
        address = parse_url(url)
    except Invalid:
        return None
    return address.path if isinstance(address, SqliteFile) and address.path and address.path.exists() else None
