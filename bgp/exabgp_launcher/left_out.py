"""What ExaBGP's process does without: modules that ExaBGP imports, and of which nothing is used as we start it.

Each has a stand-in while they are imported, with what ExaBGP does use of it; in the other stand-ins each name is an
empty class, so that whatever is used after all fails. What is left out of ExaBGP itself is of families and attributes
that no session of ours has: another family is never decoded (attribute_errors.py), and the value of an attribute that
nobody knows is not looked at. To be called before ExaBGP is imported; it imports nothing of weight itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

UPDATE = "exabgp.bgp.message.update"
FLOWS = f"{UPDATE}.nlri.flow"
OF_EXABGP = (
    *(f"{UPDATE}.nlri.{family}" for family in ("bgpls", "evpn", "evpn.nlri", "mup", "mvpn", "rtc", "vpls")),
    f"{UPDATE}.attribute.bgpls.linkstate",
    f"{UPDATE}.attribute.sr.prefixsid",
    *(f"exabgp.configuration.announce.{family}" for family in ("flow", "label", "mup", "mvpn", "vpls", "vpn")),
    "exabgp.configuration.flow.parser",
    "exabgp.configuration.static.mpls",
)
OF_PYTHON = ("argparse", "asyncio", "inspect", "logging.handlers", "pdb", "pprint")
"""For ExaBGP's command line, its coroutines and its debugger, for log files, and to show what a parser is at."""


def leave_out() -> None:
    """Have ExaBGP import stand-ins; what has been imported by now stays as it is."""
    leave_out_pythons_datetime()
    stand_ins = [
        *(Unused(name) for name in (*OF_EXABGP, *OF_PYTHON)),
        Flows(FLOWS),
        module("configparser", ConfigParser=NoSettings, NoSectionError=NoSettingError, NoOptionError=NoSettingError),
        module("platform", system=lambda: os.uname().sysname, version=lambda: os.uname().version, uname=os.uname),
        module("subprocess", CalledProcessError=ChildError, TimeoutExpired=ChildError),
    ]
    for stand_in in stand_ins:
        sys.modules.setdefault(stand_in.__name__, stand_in)


def leave_out_pythons_datetime() -> None:
    """Have who imports datetime get what is written in C, of which it consists when it has been imported.

    Before Python 3.12 it first makes all of its classes in Python, 0.2 MB, which are in circles: garbage that a process
    keeps which searches for none while it imports.
    """
    sys.modules.setdefault("datetime", importlib.import_module("_datetime"))


class Unused(ModuleType):
    """A module of which nothing is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import machinery asks
            raise AttributeError(name)
        empty = type(name, (), {})
        setattr(self, name, empty)
        return empty


class Flows(Unused):
    """Two modules take a class from that of flows which is another's."""

    @property
    def NLRI(self) -> Any:  # noqa: N802
        return sys.modules[f"{UPDATE}.nlri.nlri"].NLRI


class NoSettingError(Exception):
    """ExaBGP asks a file for a setting."""


class NoSettings:
    """The one file that ExaBGP reads settings from is empty (bgp/exabgp_config.py)."""

    def read(self, names: object) -> None:
        pass

    def get(self, *names: object, **options: object) -> str:
        raise NoSettingError


class ChildError(Exception):
    """What children of ExaBGP's end with; it has none (sidecar_pipes.py)."""


def module(name: str, **content: object) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(content)
    return made
