"""What reads credentials in the `kubernetes` package, imported without the rest of that package.

It would import all that it has, two libraries of OAuth for the one provider that needs them, and a client of HTTP that
is of no use for reading a file: a third of a second and 20 MB, which every agent and every command would pay. Here
stand-ins take the places of what reading credentials names and rarely calls. They are in those places only meanwhile,
and where one is called, the real thing is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple


class Readers(NamedTuple):
    """The package's modules, none of which has types."""

    configuration: Any
    """The class of what a client needs to know."""
    kube_config: Any
    incluster_config: Any


@cache
def readers() -> Readers:
    """Return what reads kubeconfig files and service accounts. Raises ImportError: the package is not there."""
    found = find_spec("kubernetes")
    if "kubernetes" in sys.modules or found is None or not found.submodule_search_locations:
        return _imported()
    try:
        with _standing_in(found.submodule_search_locations):
            return _imported()
    except ImportError:  # a version that is built otherwise
        return _imported()


def _imported() -> Readers:
    return Readers(
        import_module("kubernetes.client.configuration").Configuration,
        import_module("kubernetes.config.kube_config"),
        import_module("kubernetes.config.incluster_config"),
    )


class _StandIn(ModuleType):
    """A module that is imported when something is asked of it that it was not given."""

    def __init__(self, name: str, path: Sequence[str] = (), **given: object) -> None:
        super().__init__(name)
        self.__path__ = list(path)
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        module = import_module(self.__name__)
        if module is self:  # its place is still taken: whoever asks now needs the real one at once
            raise AttributeError(f"{self.__name__} is not imported, so it has no {name}")
        return getattr(module, name)


@contextmanager
def _standing_in(package: Sequence[str]) -> Iterator[None]:
    """Have stand-ins in place while the readers are imported. package: where the package's files are."""
    client = _StandIn(
        "kubernetes.client",
        [f"{folder}/client" for folder in package],
        ApiClient=_later("kubernetes.client", "ApiClient"),
    )
    util = _StandIn("urllib3.util", retry=_StandIn("urllib3.util.retry", Retry=object))  # an annotation names it
    stand_ins = [
        _StandIn("kubernetes", package, client=client),
        client,
        _StandIn("oauthlib", oauth2=_StandIn("oauthlib.oauth2")),
        _StandIn("oauthlib.oauth2"),
        _StandIn("urllib3", util=util),
        _StandIn("requests_oauthlib", OAuth2Session=_later("requests_oauthlib", "OAuth2Session")),
    ]
    taken = {module.__name__: module for module in stand_ins if module.__name__ not in sys.modules}
    sys.modules.update(taken)
    try:
        vars(client)["Configuration"] = import_module("kubernetes.client.configuration").Configuration
        yield
    finally:
        for name, module in taken.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _later(module: str, name: str) -> Callable[..., Any]:
    """Return what makes an object of a class that is imported when the first is made."""
    return lambda *arguments, **options: getattr(import_module(module), name)(*arguments, **options)
