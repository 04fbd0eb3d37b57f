"""Read this node's kernel, modules, sysctls and programs. Changes nothing and needs no root.

An edge: `felixctl.node.requirements` decides.
"""

from __future__ import annotations

import gzip
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from felixctl.errors import CommandError
from felixctl.node import requirements
from felixctl.node.requirements import System


def read_system(config: Path | None = None, root: Path = Path("/")) -> System:
    """Return what this node has. Raises CommandError: the named kernel configuration can't be read."""
    release = os.uname().release
    modules = root / "lib/modules" / release
    loadable = requirements.module_names(_lines(modules / "modules.dep"))
    builtin = requirements.module_names(_lines(modules / "modules.builtin"))
    named = root / "sys/module"
    return System(
        release,
        _options(config, root, release),
        loaded=builtin | ({path.name for path in named.iterdir()} if named.is_dir() else set()),
        loadable=loadable,
        sysctls={one.path: text for one in requirements.SYSCTLS if (text := _text(root / "proc/sys" / one.path))},
        programs={one.name for one in requirements.PROGRAMS if shutil.which(one.name)}
        | {one.name for one in requirements.LIBRARIES if find_spec(one.name)},
    )


def _options(config: Path | None, root: Path, release: str) -> dict[str, str] | None:
    if config:
        try:
            return requirements.options(_unpacked(config))
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise CommandError(f"read the kernel's configuration {config}: {error}") from None
    for path in (root / "proc/config.gz", root / "boot" / f"config-{release}"):
        try:
            return requirements.options(_unpacked(path))
        except (OSError, UnicodeDecodeError, EOFError):
            continue
    return None


def _unpacked(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()
