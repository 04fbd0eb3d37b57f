"""What the tree must be, each rule a function from a tree to sentences about what breaks it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from tests.layout.duplicates import duplicates
from tests.layout.tree import PACKAGES, TOOLS, Module, Tree

ARROWS: Mapping[str, frozenset[str]] = {
    name: frozenset(targets.split())
    for name, targets in {
        "net": "",
        "datastore": "net",
        "kernel": "net",
        "ipam": "datastore net",
        "bgp": "datastore kernel net",
        "cni": "datastore ipam kernel net",
        "felix_py": "bgp cni datastore ipam kernel net",
        "explain": "datastore felix_py ipam net",
        "controller": "datastore felix_py ipam net",
        "lab": "bgp cni datastore felix_py ipam kernel net",
        "felixctl": "bgp cni datastore explain felix_py ipam kernel lab net",
        "bench": "bgp cni datastore felix_py ipam kernel lab net tests",
        "faults": "datastore felix_py lab net",
        "soak": "bench cni datastore ipam kernel lab net",
    }.items()
}
"""Which packages a package may import."""

NARROW_ARROWS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("bgp", "kernel"): ("kept_paths", "path_watch"),
    ("bgp", "datastore"): ("kinds", "record", "fields", "field_rules", "notices", "defaults"),
    ("explain", "felix_py"): ("status_model",),
    ("controller", "felix_py"): ("configuration.settings", "logs", "pages.probes", "pages.web", "tasks"),
    ("bench", "tests"): ("kube",),
}
"""Of these packages, only these modules."""

WHOLLY_PURE = ("net", "datastore.kinds", "explain")

SIDECAR_WITHOUT = frozenset({"pydantic", "datastore", "pyroute2", "yaml", "rich", "typer", "prometheus_client"})
"""What `python -m bgp` does not load, so that it stays small."""

DOORS: Mapping[str, tuple[str, ...]] = {
    "sqlite3": (
        "datastore/sqlite.py",
        "datastore/sqlite_connection.py",
        "datastore/sqlite_file.py",
        "datastore/sqlite_records.py",
    ),
    "kubernetes": ("datastore/kube/access.py",),
    "h2": ("datastore/kube/http2.py",),
    "dataclasses": ("bgp/passwords.py",),  # its fields are not printed; other values are Structs
    "pyroute2": ("kernel/", "lab/topology.py"),  # the lab's cables are not a node's kernel
    "exabgp": ("bgp/exabgp_launcher/",),
    "inotify_simple": ("datastore/notifier.py",),
    "typer": ("felixctl/",),
    "prometheus_client": ("felix_py/pages/metrics.py", "controller/metrics.py"),
}
"""The one place that may import each thing from outside."""

IMPURE_MODULES = frozenset(
    """
    asyncio concurrent ctypes fcntl getpass glob grp http inotify_simple logging mmap multiprocessing platform
    prometheus_client pty pwd pyroute2 resource secrets select selectors shutil socketserver sqlite3 ssl
    subprocess tempfile termios threading time urllib.request
    """.split()  # noqa: SIM905 - one list to a line
)
PURE_NAMES: Mapping[str, re.Pattern[str]] = {
    "os": re.compile(r"strerror"),
    "random": re.compile(r"Random"),  # with a seed: what it yields is a function of the seed
    "signal": re.compile(r"Signals|SIG[A-Z0-9]+"),
    "socket": re.compile(r"[A-Z][A-Z0-9_]*|AddressFamily|inet_(aton|ntoa|pton|ntop)|(hton|ntoh)[sl]"),
    "sys": re.compile(r"byteorder|intern|maxsize|version_info"),
    "uuid": re.compile(r"UUID|uuid5"),
}
"""What a pure file may use of modules that are otherwise impure: constants, and functions of their arguments."""

IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint"})
IMPURE_METHODS = frozenset(
    """
    read_text write_text read_bytes write_bytes open mkdir rmdir unlink touch iterdir glob rglob stat lstat exists
    is_file is_dir is_symlink readlink symlink_to hardlink_to chmod expanduser cwd home
    """.split()  # noqa: SIM905
)
CLOCKS = frozenset({"now", "utcnow", "today"})

LONGEST_CLASS = 299
MOST_AGENT_ATTRIBUTES = 12
LEAST_DUPLICATE = 12

MIRRORED = ("bgp", "cni", "controller", "datastore", "explain", "felix_py", "ipam", "kernel", "net")

Rule = Callable[[Tree], Iterator[str]]


def packages_import_along_the_arrows(tree: Tree) -> Iterator[str]:
    for module in tree.of(*ARROWS):
        allowed = {module.package, *ARROWS[module.package]}
        for found in module.imports:
            target, _, rest = found.name.partition(".")
            if target in (*PACKAGES, *TOOLS, "tests") and target not in allowed:
                yield f"{module.path}:{found.line}: {module.package} may not import {found.name}"
            narrow = NARROW_ARROWS.get((module.package, target))
            if narrow is not None and not any(f"{rest}.".startswith(f"{name}.") for name in narrow):
                may = ", ".join(f"{target}.{name}" for name in narrow)
                yield f"{module.path}:{found.line}: {module.package} may not import {found.name}, only {may}"


def folders_of_a_package_import_one_way(tree: Tree) -> Iterator[str]:
    """Files that lie in the package itself may stand above some of its folders and below others."""
    for package in PACKAGES:
        imports = _imports_between_folders(tree, package)
        for folder in sorted(imports):
            if folder in (reached := _reached(folder, imports)):
                yield f"{package}/{folder} is imported by what it imports: {', '.join(sorted(reached - {folder}))}"


def _imports_between_folders(tree: Tree, package: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for module in tree.of(package):
        targets = (tree.find(imported.name) for imported in module.imports)
        others = {_folder(target) for target in targets if target and target.package == package}
        found[_folder(module)] |= others - {_folder(module)}
    found.pop("", None)
    return found


def _folder(module: Module) -> str:
    """Return the folder of its package that a module is in; none for a file of the package itself."""
    inner = module.path.split("/")[1:-1]
    return inner[0] if inner else ""


def _reached(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    left = {start}
    while left:
        new = imports.get(left.pop(), set()) - reached - {""}
        reached |= new
        left |= new
    return reached


def imports_are_absolute(tree: Tree) -> Iterator[str]:
    for module in tree.of(*PACKAGES, *TOOLS, "tests"):
        for found in module.imports:
            if found.name.startswith("."):
                yield f"{module.path}:{found.line}: relative import"


def private_names_are_not_imported(tree: Tree) -> Iterator[str]:
    for module in tree.of(*PACKAGES, *TOOLS):
        for found in module.imports:
            name = found.name.rpartition(".")[2]
            if name.startswith("_") and not name.startswith("__") and found.name.split(".")[0] in (*PACKAGES, *TOOLS):
                yield f"{module.path}:{found.line}: imports the private {found.name}"


def the_sidecars_process_stays_small(tree: Tree) -> Iterator[str]:
    if start := tree.find("bgp.__main__"):
        for reached in tree.reach(start):
            for found in reached.module.imports:
                if found.name.partition(".")[0] in SIDECAR_WITHOUT and not (reached.loaded_only and found.in_function):
                    yield f"{reached.module.path}:{found.line}: {' > '.join(reached.chain)} > {found.name}"


def things_from_outside_have_one_door(tree: Tree) -> Iterator[str]:
    for module in tree.product:
        for found in module.imports:
            door = DOORS.get(found.name.partition(".")[0])
            if door is not None and not module.path.startswith(door):
                yield f"{module.path}:{found.line}: imports {found.name}, whose door is {' or '.join(door)}"


def pure_files_reach_no_io_and_no_clock(tree: Tree) -> Iterator[str]:
    """Follow the imports of each file that calls itself pure, and look at what the files on the way import and call."""
    for module in tree.product:
        if module.declared_pure:
            for reached in tree.reach(module, module.exempt):
                if any(tree.modules[name].declared_pure for name in reached.chain[1:]):
                    continue  # what is beyond another pure file is that file's fault
                exempt = module.exempt if reached.module is module else frozenset()
                if what := impurities(reached.module, reached.loaded_only, exempt):
                    more = f" and {len(what) - 1} more" if what[1:] else ""
                    yield f"{module.path}: pure, but {' > '.join(reached.chain)} {what[0]}{more}"


@cache
def impurities(module: Module, loaded_only: bool, exempt: frozenset[str]) -> tuple[str, ...]:
    """Return what a file imports or calls that a pure one must not."""
    return tuple(_impurities(module, loaded_only, exempt))


def _impurities(module: Module, loaded_only: bool, exempt: frozenset[str]) -> Iterator[str]:
    for found in module.imports_but_for(exempt):
        if loaded_only and found.in_function:
            continue
        top, _, name = found.name.partition(".")
        impure = any(f"{found.name}.".startswith(f"{name}.") for name in IMPURE_MODULES)
        if impure or (top in PURE_NAMES and name and not PURE_NAMES[top].fullmatch(name)):
            yield f"imports {found.name} (line {found.line})"
    for node in module.nodes(in_functions=not loaded_only, but_for=exempt):
        match node:
            case ast.alias(name=name, asname=str()) if name in PURE_NAMES:
                yield f"imports {name} under another name (line {node.lineno})"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield f"calls {name} (line {node.lineno})"
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS or name in CLOCKS:
                yield f"calls .{name} (line {node.lineno})"
            case ast.Attribute(value=ast.Name(id=top), attr=name) if top in PURE_NAMES:
                if not PURE_NAMES[top].fullmatch(name):
                    yield f"uses {top}.{name} (line {node.lineno})"
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name) if name in CLOCKS:
                yield f"reads the clock {name} (line {node.lineno})"


def wholly_pure_packages_say_so(tree: Tree) -> Iterator[str]:
    for module in tree.product:
        inside = any(f"{module.dotted}.".startswith(f"{name}.") for name in WHOLLY_PURE)
        if inside and (not module.declared_pure or module.exempt):
            yield f"{module.path}: its docstring does not say that it is pure"


def modules_say_what_they_are(tree: Tree) -> Iterator[str]:
    for module in tree.of(*PACKAGES, *TOOLS):
        if not module.docstring and module.syntax.body:
            yield f"{module.path}: no docstring"


def the_agent_has_few_attributes(tree: Tree) -> Iterator[str]:
    module = tree.find("felix_py.agent")
    for defined in module.classes if module else ():
        if defined.name == "Agent":
            names = sorted(attributes(defined))
            if len(names) > MOST_AGENT_ATTRIBUTES:
                yield f"felix_py/agent.py: Agent sets {len(names)} attributes: {', '.join(names)}"


def attributes(defined: ast.ClassDef) -> set[str]:
    """Return the names that a class's methods assign on self, and those that its body annotates."""
    found = {
        node.attr
        for node in ast.walk(defined)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    for node in defined.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def classes_are_short(tree: Tree) -> Iterator[str]:
    for module in tree.of(*PACKAGES, *TOOLS):
        for defined in module.classes:
            length = (defined.end_lineno or defined.lineno) - defined.lineno + 1
            if length > LONGEST_CLASS:
                yield f"{module.path}:{defined.lineno}: class {defined.name} has {length} lines"


def class_names_are_unique_where_they_meet(tree: Tree) -> Iterator[str]:
    """Two classes of one name must never both lie within what one file may import."""
    places: defaultdict[str, list[Module]] = defaultdict(list)
    for module in tree.of(*PACKAGES, *TOOLS):
        for node in module.syntax.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    for name, modules in sorted(places.items()):
        for package, arrows in ARROWS.items():
            seen = sorted({module.path for module in modules if module.package in {package, *arrows}})
            if len(seen) > 1:
                yield f"class {name}: {', '.join(seen)} (all of them within reach of {package})"
                break


def no_lines_stand_twice(tree: Tree) -> Iterator[str]:
    for found in duplicates(tree.of(*PACKAGES, *TOOLS), LEAST_DUPLICATE):
        yield f"{found.second}: {found.length} lines as at {found.first}"


def dependencies(tree: Tree) -> set[str]:
    """Return the names under which what pyproject.toml asks for is imported."""
    project = tomllib.loads((tree.root / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [line for group in project["optional-dependencies"].values() for line in group]
    names = {re.split(r"[^A-Za-z0-9_-]", line)[0].lower().replace("_", "-") for line in asked}
    return {
        package
        for package, owners in importlib.metadata.packages_distributions().items()
        if names & {owner.lower().replace("_", "-") for owner in owners}
    } | {"kubernetes"}


def no_file_bears_the_name_of_a_library(tree: Tree) -> Iterator[str]:
    taken = set(sys.stdlib_module_names) | dependencies(tree)
    for module in tree.of(*PACKAGES, *TOOLS, "tests"):
        name = module.path.split("/")[-2] if module.stem == "__init__" else module.stem
        if name in taken:
            yield f"{module.path}: {name} is the name of a library"
    for path in tree.root.glob("*.py"):
        yield f"{path.name}: a module beside the packages"


_FOLDERS = "|".join((*PACKAGES, *TOOLS, "docs", "examples", "packaging", "tests"))
_PATH = re.compile(rf"(?<![\w/.$<-])(?:{_FOLDERS})/[\w./*-]*[\w*]/?")
_PATH_IN_SOURCE = re.compile(rf"(?<![\w/.$<-])(?:{_FOLDERS})/[\w./*-]*\.(?:py|c|md|yaml)\b")
_PLACEHOLDERS = re.compile(r"\b(PACKAGE|MODULE|SUB|NAME|FILE|VERB)\b|test_(MODULE|NAME)")


def named_paths_exist(tree: Tree) -> Iterator[str]:
    """Read Markdown, build files and the comments of sources; in sources, only what ends like a file is a path."""
    texts = [
        (str(path.relative_to(tree.root)), path.read_text(), _PATH)
        for pattern in ("*.md", "docs/*.md", "tests/**/*.md", "Makefile", "pyproject.toml", "Dockerfile")
        for path in sorted(tree.root.glob(pattern))
    ]
    texts += [(module.path, module.source, _PATH_IN_SOURCE) for module in tree.of(*PACKAGES, *TOOLS)]
    for name, text, pattern in texts:
        for number, line in enumerate(text.splitlines(), 1):
            for path in pattern.findall(line):
                if not _PLACEHOLDERS.search(path) and not any(tree.root.glob(path)):
                    yield f"{name}:{number}: names {path}, which does not exist"


def test_of(module: Module) -> str | None:
    """Return the path of the test that a module must have.

    `__main__.py` has test_main.py; an `__init__.py` has test_init.py if it defines anything, else none.
    """
    folder, _, _ = module.path.rpartition("/")
    if module.stem == "__init__":
        defined = any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in module.nodes()
        )
        return f"tests/{folder}/test_init.py" if defined else None
    return f"tests/{folder}/test_{module.stem.strip('_')}.py"


def modules_have_their_test(tree: Tree) -> Iterator[str]:
    tests = {module.path: module for module in tree.of("tests")}
    for module in tree.of(*MIRRORED):
        wanted = test_of(module)
        if wanted is None:
            continue
        test = tests.get(wanted)
        if test is None:
            yield f"{module.path}: has no {wanted}"
        elif not any(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for n in test.syntax.body):
            yield f"{wanted}: holds no test"
        elif not re.search(rf"\b{module.package}\b", test.source):
            yield f"{wanted}: names nothing of {module.package}"


def tests_are_named_for_their_module(tree: Tree) -> Iterator[str]:
    """Whatever mirrors no module is a story, and belongs to tests/scenarios."""
    wanted = {test_of(module) for module in tree.of(*MIRRORED)}
    wanted |= {f"tests/{path.parent.name}/test_{path.stem}.py" for path in tree.root.glob("*/*.c")}
    for module in tree.of("tests"):
        if module.path.split("/")[1] in MIRRORED and module.stem.startswith("test_") and module.path not in wanted:
            yield f"{module.path}: no module of that name; whole stories stand in tests/scenarios"


def long_tests_are_run_by_kube_test(tree: Tree) -> Iterator[str]:
    """`make test` leaves them out, and `make kube-test` looks into these folders only."""
    makefile = tree.root / "Makefile"
    found = re.search(r"^KUBE := (.*)$", makefile.read_text(), re.MULTILINE) if makefile.exists() else None
    folders = found[1].split() if found else []
    for module in tree.of("tests"):
        inside = any(module.path.startswith(f"{folder}/") for folder in folders)
        for node in module.nodes():
            match node:
                case ast.Attribute(value=ast.Attribute(attr="mark"), attr="long") if not inside:
                    yield f"{module.path}:{node.lineno}: a long test outside of what `make kube-test` runs"


def test_folders_are_packages(tree: Tree) -> Iterator[str]:
    """Else tests/ipam would shadow ipam."""
    for folder in sorted({path.parent for path in (tree.root / "tests").rglob("test_*.py")}):
        if not (folder / "__init__.py").exists():
            yield f"{folder.relative_to(tree.root)}: no __init__.py"


def pyproject_lists_every_package(tree: Tree) -> Iterator[str]:
    tool = tomllib.loads((tree.root / "pyproject.toml").read_text())["tool"]
    lists = {
        "hatch's wheel": (set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]), set(PACKAGES)),
        "ruff's known-first-party": (
            set(tool["ruff"]["lint"]["isort"]["known-first-party"]),
            {*PACKAGES, *TOOLS, "tests"},
        ),
        "mypy": (set(tool["mypy"]["packages"]), {*PACKAGES, *TOOLS, "tests"}),
    }
    for name, (found, wanted) in lists.items():
        if found != wanted:
            yield f"pyproject.toml: {name}: {sorted(found ^ wanted)} on one side only"
    for path in sorted(tree.root.glob("*/__init__.py")):
        if path.parent.name not in (*PACKAGES, *TOOLS, "tests"):
            yield f"{path.parent.name}/: a package that tests/layout/tree.py does not know"


RULES: tuple[Rule, ...] = (
    packages_import_along_the_arrows,
    folders_of_a_package_import_one_way,
    imports_are_absolute,
    private_names_are_not_imported,
    the_sidecars_process_stays_small,
    things_from_outside_have_one_door,
    pure_files_reach_no_io_and_no_clock,
    wholly_pure_packages_say_so,
    modules_say_what_they_are,
    the_agent_has_few_attributes,
    classes_are_short,
    class_names_are_unique_where_they_meet,
    no_lines_stand_twice,
    no_file_bears_the_name_of_a_library,
    named_paths_exist,
    modules_have_their_test,
    tests_are_named_for_their_module,
    long_tests_are_run_by_kube_test,
    test_folders_are_packages,
    pyproject_lists_every_package,
)
