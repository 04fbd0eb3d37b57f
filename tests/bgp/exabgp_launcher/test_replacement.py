"""One replacement, and whether what it replaces is what it expects."""

from __future__ import annotations

import inspect
import socket
from types import ModuleType

from bgp.exabgp_launcher.replacement import ReplacedFunction, ReplacedValue, parameters


class Released:
    LIMIT = (1, 2)

    def run(self, number: int) -> int:
        return number

    @classmethod
    def made(cls, number: int, /, *more: int, factor: int = 1, **named: int) -> int:
        return number * factor + len(more) + len(named)

    @staticmethod
    def one(number: int = 1) -> int:
        double = 2 * number
        return double - number


def test_parameters_are_those_that_python_shows() -> None:
    for function in (Released.run, Released().run, Released.made, Released.one):
        assert sorted(parameters(function)) == sorted(inspect.signature(function).parameters)


def test_a_function_is_known_by_its_parameters() -> None:
    assert ReplacedFunction(Released, "run", ("self", "number"), print).mismatch() is None
    mismatch = ReplacedFunction(Released, "run", ("self",), print).mismatch()
    assert mismatch == "patch ExaBGP's Released.run: it takes ('self', 'number'), not ('self',)"


def test_a_value_is_known_by_itself() -> None:
    using = ModuleType("using")
    assert ReplacedValue(Released, "LIMIT", (1, 2), ()).mismatch() is None
    assert (
        ReplacedValue(Released, "LIMIT", (1, 3), ()).mismatch()
        == "patch ExaBGP's Released.LIMIT: it is (1, 2), not (1, 3)"
    )
    assert (
        ReplacedValue(using, "socket", socket, None).mismatch()
        == f"patch ExaBGP's using.socket: it is None, not {socket}"
    )
