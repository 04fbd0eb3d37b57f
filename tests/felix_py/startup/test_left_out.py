"""What is kept from being imported, and that whoever does use it gets it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import version
from typing import ForwardRef, NamedTuple, get_type_hints

import pytest

from felix_py.startup import left_out


def test_what_is_left_out_is_missing_meanwhile_unless_it_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with left_out.without(["colorsys", "json"]):
        assert importlib.import_module("json") is json
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").ONE_THIRD


def test_annotations_mean_the_same_though_equal_ones_are_compiled_once() -> None:
    with left_out.annotations_compiled_once():

        class Pair(NamedTuple):
            one: int | None
            other: str

        first, second = ForwardRef("int | None"), ForwardRef("int | None")
        with pytest.raises(SyntaxError, match="must be an expression"):
            ForwardRef("int |")
    assert first.__forward_code__ is second.__forward_code__
    assert ForwardRef("int | None").__forward_code__ is not first.__forward_code__
    assert get_type_hints(Pair) == {"one": int | None, "other": str}


def test_openssls_hashes_stay_where_python_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_out.openssls_hashes() == ("_hashlib",)
    monkeypatch.setattr(left_out, "HASHES", ("_sha3", "_no_hash_of_this_python"))
    assert left_out.openssls_hashes() == ()


def test_metadata_is_loaded_when_something_of_it_is_used_and_not_when_it_is_imported() -> None:
    program = """
import sys
from felix_py.startup.left_out import leave_out_plugins
leave_out_plugins()
leave_out_plugins()
import importlib.metadata
from importlib.metadata import entry_points
import pydantic
class Model(pydantic.BaseModel):
    number: int
assert Model(number=1).number == 1
print("email" in sys.modules)
print(bool(entry_points(group="console_scripts")), "email" in sys.modules)
from importlib.metadata import version
print(version("felix-py"), importlib.metadata.version("felix-py"))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    installed = version("felix-py")
    assert ended.stdout.splitlines() == ["False", "True True", f"{installed} {installed}"]
