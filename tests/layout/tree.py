"""The sources of a tree as values: modules, what each imports, calls and defines. It reads files and judges nothing."""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("bgp", "cni", "controller", "datastore", "explain", "felix_py", "felixctl", "ipam", "kernel", "lab", "net")
"""The packages that are shipped."""

TOOLS = ("bench", "faults", "soak")
"""Those that run from a checkout only: they measure and try what is shipped."""

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

_DECLARED_PURE = re.compile(r"(?:^|(?<=[.:?] )|(?<=\n))(?:Pure|Sans-IO)(?=[.:,\n]|$| but for\b)")
_EXEMPT = re.compile(r"(?:Pure|Sans-IO) but for ((?:`\w+`(?:, | and )?)+)")


class Import(NamedTuple):
    """One name imported at run time: `from a import b` counts as a.b."""

    name: str
    line: int
    in_function: bool


class Reached(NamedTuple):
    """A module that another reaches by its imports, and the chain of names from the first to this one."""

    module: Module
    chain: tuple[str, ...]
    loaded_only: bool
    """It runs only because something inside its package is imported: what its functions would do does not count."""


@dataclass(frozen=True)
class Module:
    path: str
    """Relative to the tree, with slashes."""
    source: str

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def dotted(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def stem(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".py")

    @cached_property
    def syntax(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @cached_property
    def docstring(self) -> str:
        return ast.get_docstring(self.syntax) or ""

    @cached_property
    def declared_pure(self) -> bool:
        """Whether a sentence of the docstring begins with Pure or Sans-IO."""
        return _DECLARED_PURE.search(self.docstring) is not None

    @cached_property
    def exempt(self) -> frozenset[str]:
        """Return the functions that the docstring excepts by name: "Pure but for `read_file`."."""
        found = _EXEMPT.search(self.docstring)
        return frozenset(re.findall(r"`(\w+)`", found.group(1))) if found else frozenset()

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.syntax, False, frozenset()))

    def imports_but_for(self, exempt: frozenset[str]) -> tuple[Import, ...]:
        if not exempt:
            return self.imports
        return tuple(_imports(self.syntax, False, exempt))

    def nodes(self, *, in_functions: bool = True, but_for: frozenset[str] = frozenset()) -> Iterator[ast.AST]:
        """Yield what runs: everything outside of `if TYPE_CHECKING`, and without functions only what loading runs."""
        return _running(self.syntax, in_functions, but_for)

    @cached_property
    def classes(self) -> tuple[ast.ClassDef, ...]:
        return tuple(node for node in ast.walk(self.syntax) if isinstance(node, ast.ClassDef))


@dataclass(frozen=True)
class Tree:
    root: Path

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        """Return the modules of packages, tools and tests, by dotted name; a package stands for its `__init__`."""
        found = (
            Module(str(path.relative_to(self.root)), path.read_text())
            for package in (*PACKAGES, *TOOLS, "tests")
            for path in sorted((self.root / package).rglob("*.py"))
        )
        return {module.dotted: module for module in found}

    def of(self, *packages: str) -> Iterator[Module]:
        return (module for module in self.modules.values() if module.package in packages)

    @property
    def product(self) -> Iterator[Module]:
        return self.of(*PACKAGES)

    def find(self, name: str) -> Module | None:
        """Return the module that an imported name is, or is in."""
        while name:
            if found := self.modules.get(name):
                return found
            name = name.rpartition(".")[0]
        return None

    def reach(self, start: Module, exempt: frozenset[str] = frozenset()) -> Iterator[Reached]:
        """Yield `start`, the packages around it, and every module of ours that it imports, directly or not."""
        waiting = deque([Reached(start, (start.dotted,), False)])
        waiting += [Reached(package, (start.dotted, package.dotted), True) for package in self._packages_around(start)]
        seen = {(reached.module.dotted, reached.loaded_only) for reached in waiting}
        while waiting:
            here = waiting.popleft()
            yield here
            for found in here.module.imports_but_for(exempt if here.module is start else frozenset()):
                if here.loaded_only and found.in_function:
                    continue
                for module, loaded_only in self._run_by(found.name):
                    known = (module.dotted, loaded_only)
                    if known not in seen and (module.dotted, False) not in seen:
                        seen.add(known)
                        waiting.append(Reached(module, (*here.chain, module.dotted), loaded_only))

    def _run_by(self, name: str) -> Iterator[tuple[Module, bool]]:
        """Yield the module that an imported name is in, then the packages around it, which are loaded first."""
        target = self.find(name)
        if target is None:
            return
        yield target, False
        yield from ((package, True) for package in self._packages_around(target))

    def _packages_around(self, module: Module) -> Iterator[Module]:
        parent = module.dotted.rpartition(".")[0]
        while parent:
            if package := self.modules.get(parent):
                yield package
            parent = parent.rpartition(".")[0]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _running(node: ast.AST, in_functions: bool, but_for: frozenset[str]) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child):
            for other in child.orelse:
                yield from _running(other, in_functions, but_for)
        elif isinstance(child, _FUNCTION) and (not in_functions or getattr(child, "name", None) in but_for):
            continue
        else:
            yield from _running(child, in_functions, but_for)


def _imports(node: ast.AST, in_function: bool, but_for: frozenset[str]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(alias.name, child.lineno, in_function) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = "." * level + (module or "")
                yield from (Import(f"{origin}.{alias.name}", child.lineno, in_function) for alias in names)
            case ast.If() if _is_type_checking(child):
                for other in child.orelse:
                    yield from _imports(other, in_function, but_for)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if child.name not in but_for:
                    yield from _imports(child, True, but_for)
            case _:
                yield from _imports(child, in_function, but_for)
