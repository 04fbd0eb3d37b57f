"""What takes the place of modules that the agent does not use, and that whoever does use them gets them."""

from __future__ import annotations

import dis
import subprocess
import sys

from felix_py.startup.stand_ins import FLAGS_OF_CODE, Form

PROGRAM = """
import sys
from felix_py.startup.left_out import leave_out_plugins
from felix_py.startup.stand_ins import leave_out, small_pydantic
leave_out_plugins()
leave_out()
leave_out()
with small_pydantic():
    import pydantic
    from typing import Annotated
    class Model(pydantic.BaseModel):
        number: int
        texts: dict[str, list[str]] = {}
        shown: Annotated[int, pydantic.WithJsonSchema({"type": "string"})] = 1
"""


def in_agent(code: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", PROGRAM + code], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_models_read_and_refuse_as_ever() -> None:
    said = in_agent("""
print(Model.model_validate_json('{"number": 1, "texts": {"a": ["b"]}}').model_dump())
try:
    Model(number="one", texts=[])
except pydantic.ValidationError as error:
    print([(each["loc"], each["type"]) for each in error.errors()])
""")
    assert said == [
        "{'number': 1, 'texts': {'a': ['b']}, 'shown': 1}",
        "[(('number',), 'int_parsing'), (('texts',), 'dict_type')]",
    ]


def test_the_agent_loads_nothing_that_has_a_stand_in() -> None:
    loaded = in_agent("""
from felix_py.startup.left_out import TLS, openssls_hashes, without
with small_pydantic(), without((*openssls_hashes(), *TLS)):
    import felix_py.process
names = ["ast", "asyncio.sslproto", "bz2", "datetime", "dis", "fractions", "locale", "lzma"]
names += ["msgspec._json_schema", "msgspec.inspect", "msgspec.toml", "msgspec.yaml", "platform", "pydantic.json_schema"]
names += ["shutil", "sysconfig", "tempfile", "tokenize", "zoneinfo"]
print([name for name in names if getattr(sys.modules.get(name), "__file__", None)])
""")
    assert loaded == ["[]"]


def test_whoever_uses_what_had_a_stand_in_gets_it() -> None:
    used = in_agent("""
import locale, platform
from fractions import Fraction
from pydantic.json_schema import GenerateJsonSchema
from zoneinfo import ZoneInfo
print(Fraction(1, 2), ZoneInfo("UTC"), GenerateJsonSchema().schema_dialect[:18], platform.python_implementation())
import ast, asyncio.selector_events, dis, inspect, linecache
print(asyncio.selector_events.sslproto.SSLProtocol.__module__, linecache.getline(asyncio.__file__, 3).strip())
class Names(ast.NodeVisitor):
    def visit_Name(self, node):
        print(node.id)
Names().visit(ast.parse("found + 1"))
print(type(inspect.stack()[0].positions) is dis.Positions)
print(locale.localeconv()["decimal_point"], {**pydantic.TypeAdapter(int).json_schema()})
""")
    assert used == [
        "1/2 UTC https://json-schem CPython",
        "asyncio.sslproto # flake8: noqa",
        "found",
        "True",
        ". {'type': 'integer'}",
    ]


def test_the_flags_of_code_are_those_that_dis_has() -> None:
    assert FLAGS_OF_CODE.items() <= dis.COMPILER_FLAG_NAMES.items()


def test_what_was_loaded_before_stays() -> None:
    program = """
import fractions, platform
from felix_py.startup.stand_ins import leave_out, small_pydantic
before = fractions, platform
leave_out()
with small_pydantic():
    import fractions, platform
    assert (fractions, platform) == before
import typing, typing_extensions
assert typing.is_typeddict(typing.TypedDict("Typed", {"number": int}))
assert typing_extensions.is_typeddict(typing_extensions.TypedDict("Typed", {"number": int}))
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_form_is_a_dictionary() -> None:
    class Said(Form, total=False):
        number: int

    said = Said(number=1)
    assert type(said) is dict
    assert said == {"number": 1}
