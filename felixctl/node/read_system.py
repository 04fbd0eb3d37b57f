"""Read this node's kernel, modules, sysctls and programs. Changes nothing and needs no root.

An edge: `felixctl.node.requirements` decides.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cni.configurations import BINARY
from felix_py.packet_path.kernel_facts import packet_filters
from felixctl.errors import CommandError
from felixctl.node import requirements
from felixctl.node.requirements import System
from felixctl.node.runtime_requirements import (
    SOCKETS,
    USUAL_CONF_DIR,
    USUAL_PLUGIN_DIR,
    HostFiles,
    Runtime,
    containerd,
    crio,
    podman,
)
from kernel.links import Devices
from kernel.netlink import KernelError
from net.packet_filter import PacketFilters


def read_system(config: Path | None = None, root: Path = Path("/"), conf_dir: str = USUAL_CONF_DIR) -> System:
    """Return what this node has. conf_dir: where the agent writes the network's configuration.

    Raises CommandError: the named kernel configuration can't be read.
    """
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
        fixed_sysctls=_is_read_only(_written_sysctls(root) / "net"),
        host=_host(root, conf_dir),
    )


def _written_sysctls(root: Path) -> Path:
    """Return where the agent of this host, or of this container, writes sysctls."""
    return Path(os.environ.get("FELIX_PROCSYS") or root / "proc/sys")


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _host(root: Path, conf_dir: str) -> HostFiles:
    plugin = root / USUAL_PLUGIN_DIR.lstrip("/") / BINARY
    folder = root / conf_dir.lstrip("/")
    return HostFiles(
        conf_dir,
        plugin=plugin.is_file() and os.access(plugin, os.X_OK),
        configurations=tuple(path.name for path in folder.iterdir()) if _may_list(folder) else None,
        runtimes=tuple(_runtimes(root)) or (None if _is_container(root) else ()),
        filters=_filters(),
    )


def _may_list(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _is_container(root: Path) -> bool:
    """Whether this runs in a container: in a pod by what kubelets set, else by what docker and podman leave in each."""
    marks = (root / ".dockerenv", root / "run/.containerenv")
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in marks)


def _runtimes(root: Path) -> Iterator[Runtime]:
    if (root / SOCKETS["containerd"]).exists():
        yield containerd(_toml(root / "etc/containerd/config.toml"))
    if (root / SOCKETS["CRI-O"]).exists():
        yield crio(_toml(root / "etc/crio/crio.conf"))
    if root == Path("/") and shutil.which("podman"):
        yield podman(_toml(root / "etc/containers/containers.conf"))


def _toml(path: Path) -> Mapping[str, Any]:
    """Return a configuration file; an empty one where it cannot be read: the program's own defaults count then."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _filters() -> PacketFilters | None:
    """Return the packet filters of the network namespace this runs in; None without the right to read them."""
    if os.geteuid() != 0:
        return None
    with closing(Devices()) as devices:
        try:
            names = {index: link.name for index, link in devices.links().items()}
        except KernelError as error:
            return PacketFilters(unread=(str(error),))
    return packet_filters(names)


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
