"""Each rule of the tree fails on a made-up tree that breaks it, and on nothing else of that tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.layout import rules
from tests.layout.rules import RULES, Rule
from tests.layout.tree import PACKAGES, TOOLS, Tree

PYPROJECT = """
[project]
dependencies = ["pyyaml>=6.0"]
optional-dependencies = { dev = ["pytest"] }
[tool.hatch.build.targets.wheel]
packages = [SHIPPED]
[tool.ruff.lint.isort]
known-first-party = [PACKAGES, "tests"]
[tool.mypy]
packages = [PACKAGES, "tests"]
""".replace("PACKAGES", ", ".join(f'"{name}"' for name in (*PACKAGES, *TOOLS))).replace(
    "SHIPPED", ", ".join(f'"{name}"' for name in PACKAGES)
)

GOOD: Mapping[str, str] = {
    "pyproject.toml": PYPROJECT,
    "README.md": "Start with `net/prefix.py`; tests are `tests/PACKAGE/test_MODULE.py`, examples `examples/*.yaml`.\n",
    "examples/one.yaml": "",
    "net/__init__.py": '"""Networks. Pure."""\n',
    "net/prefix.py": '"""A network. Pure."""\nimport socket\n\ndef pack(text: str) -> bytes:\n'
    "    return socket.inet_pton(socket.AF_INET, text)\n",
    "kernel/__init__.py": '"""Netlink."""\n',
    "kernel/rtnetlink.py": '"""Routes, an edge."""\nimport os\nimport time\nfrom net.prefix import pack\n',
    "kernel/message.py": '"""Messages. Sans-IO: bytes in, bytes out."""\nfrom typing import TYPE_CHECKING\n'
    "if TYPE_CHECKING:\n    import asyncio\n",
    "tests/__init__.py": "",
    "tests/net/__init__.py": "",
    "tests/net/test_prefix.py": "from net.prefix import pack\n\ndef test_pack(): ...\n",
    "tests/kernel/__init__.py": "",
    "tests/kernel/test_rtnetlink.py": "from kernel import rtnetlink\n\ndef test_apply(): ...\n",
    "tests/kernel/test_message.py": "from kernel import message\n\ndef test_message(): ...\n",
}


class Bad(NamedTuple):
    rule: Rule
    files: Mapping[str, str]
    sentence: str
    """What the rule must say of it, or part of that."""


def source(body: str, docstring: str = "An edge.") -> str:
    return f'"""{docstring}"""\n{body}\n'


PURE_ = "A decision. Pure: no I/O."
_TWELVE = "\n".join(f"x{number} = {number}" for number in range(12))

BAD = [
    Bad(
        rules.packages_import_along_the_arrows,
        {"kernel/rtnetlink.py": source("from bgp.rib_in import RibIn")},
        "kernel/rtnetlink.py:2: kernel may not import bgp.rib_in.RibIn",
    ),
    Bad(
        rules.packages_import_along_the_arrows,
        {"bgp/sidecar.py": source("def run():\n    from kernel.links import Devices")},
        "bgp may not import kernel.links.Devices",
    ),
    Bad(
        rules.packages_import_along_the_arrows,
        {"bgp/sessions.py": source("from datastore.sqlite import SqliteStore")},
        "bgp may not import datastore.sqlite.SqliteStore, only datastore.kinds",
    ),
    Bad(
        rules.packages_import_along_the_arrows,
        {"explain/why.py": source("import felix_py.agent")},
        "explain may not import felix_py.agent, only felix_py.status_model",
    ),
    Bad(
        rules.folders_of_a_package_import_one_way,
        {
            "felix_py/routes/rib.py": source("from felix_py.host.devices import Devices"),
            "felix_py/host/devices.py": source("def late():\n    from felix_py.cluster.records import Records"),
            "felix_py/cluster/records.py": source("import felix_py.routes.rib"),
        },
        "felix_py/cluster is imported by what it imports: host, routes",
    ),
    Bad(rules.imports_are_absolute, {"kernel/links.py": source("from . import netlink")}, "kernel/links.py:2"),
    Bad(
        rules.private_names_are_not_imported,
        {"kernel/links.py": source("from kernel.netlink import _dump")},
        "imports the private kernel.netlink._dump",
    ),
    Bad(
        rules.the_sidecars_process_stays_small,
        {
            "bgp/__main__.py": source("from bgp.sidecar import Sidecar"),
            "bgp/sidecar.py": source("def late():\n    from bgp.sessions import speaker_of"),
            "bgp/sessions.py": source("from datastore.record import Resource"),
        },
        "bgp.__main__ > bgp.sidecar > bgp.sessions > datastore.record.Resource",
    ),
    Bad(
        rules.things_from_outside_have_one_door,
        {"ipam/allocator.py": source("import sqlite3")},
        "ipam/allocator.py:2: imports sqlite3, whose door is datastore/sqlite.py",
    ),
    *(
        Bad(rules.pure_files_reach_no_io_and_no_clock, {"ipam/block.py": source(body, PURE_)}, sentence)
        for body, sentence in {
            "import asyncio": "ipam/block.py: pure, but ipam.block imports asyncio",
            "import logging": "imports logging",
            "import threading": "imports threading",
            "from time import monotonic": "imports time.monotonic",
            "import time as clock": "imports time",
            "def f():\n    import time": "imports time",
            "from os import environ": "imports os.environ",
            "import os\nx = os.environ": "uses os.environ",
            "import os as system": "imports os under another name",
            "import socket\ns = socket.socket()": "uses socket.socket",
            "from random import choice": "imports random.choice",
            "import urllib.request": "imports urllib.request",
            "x = open('/etc/hosts')": "calls open",
            "def f(path):\n    return path.read_text()": "calls .read_text",
            "class A:\n    def f(self, path):\n        path.write_text('')": "calls .write_text",
            "import datetime\ndef f():\n    return datetime.datetime.now()": "calls .now",
            "from datetime import datetime\ndef f(clock=datetime.now): ...": "reads the clock now",
            "def f():\n    print('done')": "calls print",
        }.items()
    ),
    Bad(
        rules.pure_files_reach_no_io_and_no_clock,
        {"felix_py/routes/fib.py": source("from kernel.rtnetlink import Rtnetlink", PURE_)},
        "felix_py/routes/fib.py: pure, but felix_py.routes.fib > kernel.rtnetlink imports time (line 3)",
    ),
    Bad(
        rules.pure_files_reach_no_io_and_no_clock,
        {
            "felix_py/routes/fib.py": source("def f():\n    from felix_py.plan import Plan", PURE_),
            "felix_py/plan.py": source("from kernel.rtnetlink import Rtnetlink"),
        },
        "felix_py.routes.fib > felix_py.plan > kernel.rtnetlink imports time",
    ),
    Bad(
        rules.pure_files_reach_no_io_and_no_clock,
        {"ipam/__init__.py": source("import asyncio"), "ipam/block.py": source("x = 1", PURE_)},
        "ipam/block.py: pure, but ipam.block > ipam imports asyncio",
    ),
    Bad(
        rules.pure_files_reach_no_io_and_no_clock,
        {
            "felix_py/configuration/settings.py": source(
                "def read_file(): open('x')\ndef f(): open('y')", "Pure but for `read_file`."
            )
        },
        "calls open (line 3)",
    ),
    Bad(
        rules.wholly_pure_packages_say_so,
        {"net/prefix_set.py": source("x = 1", "A set.")},
        "net/prefix_set.py: its docstring does not say that it is pure",
    ),
    Bad(rules.modules_say_what_they_are, {"kernel/links.py": "x = 1\n"}, "kernel/links.py: no docstring"),
    Bad(
        rules.the_agent_has_few_attributes,
        {
            "felix_py/agent.py": source(
                "class Agent:\n    def __init__(self):\n"
                + "\n".join(f"        self.a{number}: int = 0" for number in range(7))
                + "\n    def later(self):\n"
                + "\n".join(f"        self.b{number} = 0" for number in range(6))
            )
        },
        "Agent sets 13 attributes: a0",
    ),
    Bad(
        rules.classes_are_short,
        {"cni/verbs.py": source("class Verbs:\n" + "    x = 1\n" * 299)},
        "cni/verbs.py:2: class Verbs has 300 lines",
    ),
    Bad(
        rules.class_names_are_unique_where_they_meet,
        {"datastore/store.py": source("class Key: ..."), "ipam/names.py": source("class Key: ...")},
        "class Key: datastore/store.py, ipam/names.py (all of them within reach of ipam)",
    ),
    Bad(
        rules.no_lines_stand_twice,
        {"cni/veth.py": source(_TWELVE), "kernel/links.py": source(f"def f():\n    pass\n# a comment\n{_TWELVE}")},
        "kernel/links.py:5: 12 lines as at cni/veth.py:2",
    ),
    Bad(
        rules.no_lines_stand_twice,
        {"cni/veth.py": source(f"{_TWELVE}\n\n{_TWELVE}")},
        "cni/veth.py:15: 12 lines as at cni/veth.py:2",
    ),
    Bad(rules.no_file_bears_the_name_of_a_library, {"cni/gc.py": source("x = 1")}, "gc is the name of a library"),
    Bad(rules.no_file_bears_the_name_of_a_library, {"lab/yaml.py": source("x = 1")}, "yaml is the name of a library"),
    Bad(rules.no_file_bears_the_name_of_a_library, {"lab/io/__init__.py": source("")}, "io is the name of a library"),
    Bad(rules.no_file_bears_the_name_of_a_library, {"setup.py": ""}, "setup.py: a module beside the packages"),
    Bad(
        rules.named_paths_exist,
        {"docs/architecture.md": "Routes\nare `felix_py/routes/rib.py`'s."},
        "docs/architecture.md:2: names felix_py/routes/rib.py, which does not exist",
    ),
    Bad(rules.named_paths_exist, {"README.md": "see [this](docs/lab.svg)"}, "README.md:1: names docs/lab.svg"),
    Bad(
        rules.named_paths_exist,
        {"kernel/links.py": source("x = 1  # as in kernel/channel.py")},
        "kernel/links.py:2: names kernel/channel.py",
    ),
    Bad(
        rules.modules_have_their_test,
        {"ipam/block.py": source("x = 1")},
        "ipam/block.py: has no tests/ipam/test_block.py",
    ),
    Bad(
        rules.modules_have_their_test,
        {"datastore/kinds/pods.py": source("x = 1")},
        "datastore/kinds/pods.py: has no tests/datastore/kinds/test_pods.py",
    ),
    Bad(
        rules.modules_have_their_test,
        {"bgp/__main__.py": source("x = 1"), "ipam/__init__.py": source("def open(): ...")},
        "bgp/__main__.py: has no tests/bgp/test_main.py",
    ),
    Bad(rules.modules_have_their_test, {"ipam/__init__.py": source("def f(): ...")}, "has no tests/ipam/test_init.py"),
    Bad(
        rules.modules_have_their_test,
        {"tests/net/test_prefix.py": "from net.prefix import pack\n"},
        "tests/net/test_prefix.py: holds no test",
    ),
    Bad(
        rules.modules_have_their_test,
        {"tests/net/test_prefix.py": "def test_nothing(): ...\n"},
        "tests/net/test_prefix.py: names nothing of net",
    ),
    Bad(
        rules.tests_are_named_for_their_module,
        {"tests/net/test_hard_times.py": "def test_nothing(): ...\n"},
        "tests/net/test_hard_times.py: no module of that name",
    ),
    Bad(
        rules.long_tests_are_run_by_kube_test,
        {"Makefile": "KUBE := tests/kube\n", "tests/net/test_prefix.py": "@pytest.mark.long\ndef test_pack(): ...\n"},
        "tests/net/test_prefix.py:1: a long test outside of what `make kube-test` runs",
    ),
    Bad(rules.test_folders_are_packages, {"tests/ipam/test_block.py": ""}, "tests/ipam: no __init__.py"),
    Bad(
        rules.pyproject_lists_every_package,
        {"pyproject.toml": PYPROJECT.replace('"lab", ', "", 1)},
        "hatch's wheel: ['lab'] on one side only",
    ),
    Bad(rules.pyproject_lists_every_package, {"policy/__init__.py": ""}, "policy/: a package that"),
]


def tree(root: Path, files: Mapping[str, str]) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(root)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_tree_breaks_no_rule(tmp_path: Path, rule: Rule) -> None:
    assert list(rule(tree(tmp_path, GOOD))) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.rule.__name__}: {bad.sentence}")
def test_a_bad_tree_breaks_its_rule(tmp_path: Path, bad: Bad) -> None:
    found = list(bad.rule(tree(tmp_path, {**GOOD, **bad.files})))
    assert len(found) >= 1
    assert any(bad.sentence in sentence for sentence in found), "\n".join(found)


def test_every_rule_is_shown_to_fail() -> None:
    assert {bad.rule for bad in BAD} == set(RULES)


def test_what_is_pure_by_name_may_use_constants_and_functions_of_its_arguments(tmp_path: Path) -> None:
    body = (
        "import socket\nimport os\nx = socket.AF_INET6, socket.inet_ntop(2, b''), os.strerror(2), 'a'.replace('a', 'b')"
    )
    good = tree(tmp_path, {**GOOD, "ipam/block.py": source(body, PURE_)})
    assert list(rules.pure_files_reach_no_io_and_no_clock(good)) == []


def test_the_longest_common_run_is_reported_once(tmp_path: Path) -> None:
    body = "\n".join(f"y{number} = {number}" for number in range(30))
    both = tree(tmp_path, {"net/one.py": source(body), "net/two.py": source(f"import os\n{body}")})
    assert list(rules.no_lines_stand_twice(both)) == ["net/two.py:1: 31 lines as at net/one.py:1"]
