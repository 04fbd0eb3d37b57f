"""The arrows between the packages, read from the imports: any other arrow fails."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bgp", "cni", "datastore", "explain", "felix_py", "felixctl", "ipam", "kernel", "lab", "net")

ARROWS: dict[str, set[str]] = {
    "net": set(),
    "datastore": {"net"},
    "kernel": {"net"},
    "ipam": {"datastore", "net"},
    "bgp": {"datastore", "net"},  # and of datastore only kinds and values, below
    "cni": {"datastore", "ipam", "kernel", "net"},
    "felix_py": {"datastore", "ipam", "kernel", "bgp", "cni", "net"},
    "explain": {"datastore", "ipam", "felix_py", "net"},
    "lab": {"datastore", "ipam", "kernel", "bgp", "cni", "felix_py", "net"},
    "felixctl": {"datastore", "ipam", "kernel", "bgp", "cni", "explain", "felix_py", "lab", "net"},
    "bench": {"datastore", "ipam", "kernel", "bgp", "cni", "felix_py", "lab", "net"},
}

# What each thing from outside may be imported by: its one door.
DOORS: dict[str, tuple[str, ...]] = {
    "sqlite3": ("datastore/sqlite.py",),
    "kubernetes": ("datastore/kube.py",),
    "pyroute2": ("kernel/", "lab/topology.py"),  # the lab's cables are not a node's kernel
    "exabgp": ("bgp/exabgp_launcher.py",),
    "typer": ("felixctl/",),
    "prometheus_client": ("felix_py/status.py",),
}

PURE = (
    "datastore/resources.py",
    "datastore/record.py",
    "datastore/fields.py",
    "datastore/kinds/ipam.py",
    "datastore/kinds/pools.py",
    "datastore/kinds/bgp.py",
    "datastore/selector.py",
    "datastore/field_rules.py",
    "datastore/notices.py",
    "net/prefix_set.py",
    "net/address_range.py",
    "net/prefix.py",
    "kernel/route.py",
    "ipam/batch.py",
    "ipam/block.py",
    "ipam/names.py",
    "ipam/notices.py",
    "ipam/reserved.py",
    "ipam/search.py",
    "ipam/leaks.py",
    "bgp/speaker.py",
    "bgp/notices.py",
    "bgp/sessions.py",
    "bgp/exabgp_config.py",
    "bgp/events.py",
    "bgp/exabgp_json.py",
    "bgp/exabgp_commands.py",
    "bgp/exabgp_errors.py",
    "bgp/replay.py",
    "bgp/rib_in.py",
    "bgp/rib_out.py",
    "bgp/decision.py",
    "bgp/import_policy.py",
    "cni/protocol.py",
    "felix_py/announce.py",
    "felix_py/felix_configuration.py",
    "felix_py/fib.py",
    "felix_py/invariants.py",
    "felix_py/notices.py",
    "explain/facts.py",
    "felix_py/rib.py",
    "felix_py/snapshot.py",
    "felix_py/sources.py",
    "explain/why.py",
    "felix_py/tunnels.py",
    "felix_py/remote_blocks.py",
    "felixctl/resources/plan.py",
    "felixctl/ipam/check_report.py",
    "felixctl/resources/documents.py",
    "felixctl/resources/formats.py",
    "felixctl/resources/jsonpath.py",
    "felixctl/resources/kinds.py",
    "felixctl/resources/patches.py",
    "felixctl/resources/selection.py",
    "felixctl/tables.py",
    "felixctl/ipam/usage.py",
    "felixctl/resources/view.py",
    "felixctl/ipam/leak_report.py",
    "felixctl/ipam/problems.py",
    "felixctl/ipam/records.py",
    "felixctl/ipam/repair_plan.py",
    "felixctl/node/redaction.py",
    "felixctl/node/requirements.py",
    "lab/spec.py",
)
IMPURE = {"asyncio", "logging", "os", "subprocess", "threading", "sqlite3", "pyroute2", "time", "datetime.datetime.now"}


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports at run time: `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def our_imports(path: Path) -> set[str]:
    return {name for name in imports(path) if name.partition(".")[0] in (*PACKAGES, "tests", "bench")}


def test_packages_import_only_along_the_arrows() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, allowed in ARROWS.items()
        for path in modules(package)
        for name in our_imports(path)
        if name.partition(".")[0] not in {package, *allowed}
    ]
    assert not wrong, "\n".join(wrong)


_VALUES_FOR_BGP = (
    "datastore.kinds",
    "datastore.record",
    "datastore.fields",
    "datastore.field_rules",
    "datastore.notices",
    "net",
)


def test_bgp_knows_neither_the_datastores_verbs_nor_the_kernel() -> None:
    for path in modules("bgp"):
        for name in our_imports(path):
            if not name.startswith("bgp"):
                assert name.startswith(_VALUES_FOR_BGP), f"{path.name} imports {name}"


def test_the_sidecars_process_stays_small() -> None:
    """Walk the imports from `python -m bgp`: no pydantic, no datastore."""
    seen: set[Path] = set()
    waiting = [ROOT / "bgp" / "__main__.py"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imports(path):
            top = name.partition(".")[0]
            assert top not in {"pydantic", "datastore", "pyroute2"}, f"{path.relative_to(ROOT)} imports {name}"
            if top in ("bgp", "net"):
                found = ROOT / top / f"{name.split('.')[1]}.py"
                waiting += [found] if found.exists() else []


def test_each_thing_from_outside_has_one_door() -> None:
    for path in modules(*PACKAGES):
        name = str(path.relative_to(ROOT))
        for imported in imports(path):
            door = DOORS.get(imported.partition(".")[0])
            assert door is None or name.startswith(door), f"{name} imports {imported}, whose door is {door}"


@pytest.mark.parametrize("name", PURE)
def test_pure_files_do_no_io(name: str) -> None:
    path = ROOT / name
    assert path.exists(), f"{name} is gone: correct the list"
    for imported in imports(path):
        assert imported.partition(".")[0] not in IMPURE, f"{name} is pure, but imports {imported}"


def test_no_file_bears_the_name_of_a_library() -> None:
    taken = set(sys.stdlib_module_names) | {"pydantic", "pyroute2", "exabgp", "typer", "rich", "yaml", "kubernetes"}
    libraries = taken - set(sys.stdlib_module_names)
    clashes = {path.name for path in ROOT.glob("*.py") if path.stem in taken}
    clashes |= {str(path.relative_to(ROOT)) for path in modules(*PACKAGES) if path.stem in libraries}
    clashes |= {package for package in PACKAGES if package in taken}
    assert not clashes


def test_one_distribution_owns_our_packages() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["felix-py"])) == {"felix-py"}, f"{package} is also installed by others"


def test_every_test_folder_is_a_package() -> None:
    """Else tests/ipam would shadow ipam."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)
