"""`felix-uninstall`: takes from a host what felix-py left there, when its agent has ended and its pods are gone.

An edge. Agent and sidecar leave all in place when they end, so that an update disturbs nobody; this is for an end that
is meant. It refuses while there is somebody to disturb, asks no datastore, may be killed and run again, and goes on
with the rest where something cannot be removed.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from cni.configurations import BINARY, CONFLIST
from cni.host_local import HOST_LOCAL
from cni.install import KEPT
from cni.veth import Veth
from felix_py.configuration.settings import Settings, SettingsError, read_file, settings_from
from felix_py.encap.ipip import IPIP
from felix_py.identity import StartupError
from felix_py.packet_filter.forward_accept import CHAINS
from felix_py.packet_filter.node_table import TABLE
from felix_py.routes.fib import Ownership
from felix_py.startup.single_instance import single_instance
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.nftables_connection import ABSENT
from kernel.nftables_foreign_writer import ForeignChainWriter
from kernel.nftables_writer import NftablesWriter
from kernel.rtnetlink import Rtnetlink

CALICOS = "10-calico.conflist"
CALICOS_ASIDE = f"{CALICOS}.before-felix-py"
"""As manifests/overlays/calico-coexist names what calico-node writes anew when it comes back."""
USUAL_CNI_CONF_DIR = Path("/etc/cni/net.d")
HOST_LOCAL_DATA = Path("/var/lib/cni/networks")
"""Where host-local notes addresses, unless ipam.dataDir says otherwise."""
MOST_NAMED = 10  # pods in one refusal


def main() -> int:
    """Return the process's exit code: 0 nothing is left, 1 something is, 2 for a bad setting."""
    try:
        settings = settings_from(os.environ, read_file(os.environ.get("FELIX_CONFIG", "")))
    except SettingsError as error:
        print(f"{error}; nothing is removed", file=sys.stderr)
        return 2
    try:
        with ExitStack() as stack:
            stack.enter_context(single_instance(settings.run_dir, "uninstall what uses the sockets"))
            _refuse_beside_a_sidecar(settings.run_dir)
            _refuse_beside_pods()
            failed = [what for what, remove in _steps(settings) if not _carried_out(what, remove)]
    except (StartupError, KernelError, OSError) as error:
        print(f"{error}; nothing is removed", file=sys.stderr)
        return 1
    if failed:
        print(f"left on this host: {', '.join(failed)}; see above, and run this again", file=sys.stderr)
        return 1
    empty = ", ".join(str(folder) for folder in _folders(settings) if folder.is_dir() and not any(folder.iterdir()))
    but = f" but empty folders, which are mounted here and so stay: {empty}" if empty else ""
    print(f"nothing of felix-py is left on this host{but}")
    return 0


def _folders(settings: Settings) -> tuple[Path, ...]:
    """Return felix-py's own folders, and those that it may share with Calico."""
    shared = (settings.nodename_file.parent, settings.mtu_file.parent)
    return tuple(dict.fromkeys((settings.state_dir, settings.run_dir, *shared)))


def _refuse_beside_a_sidecar(run_dir: Path) -> None:
    """Raises StartupError: the sidecar runs, and would go on announcing what leads nowhere."""
    with suppress(FileNotFoundError), (run_dir / "bgp" / "lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(f"uninstall what uses the sockets in {run_dir}: the sidecar is still running") from None


def _refuse_beside_pods() -> None:
    """Raises StartupError: pods are attached. Without the plugin no runtime could take them down."""
    with closing(Veth()) as devices:
        pods = sorted(f"{one.name} of container {one.attachment.container_id[:12]}" for one in devices.owned())
        if pods:
            more = f" and {len(pods) - MOST_NAMED} more" if len(pods) > MOST_NAMED else ""
            raise StartupError(
                f"uninstall from this host: pods are attached ({', '.join(pods[:MOST_NAMED])}{more}); drain the node,"
                " with the agent still running"
            )
        devices.delete_retired()


def _carried_out(what: str, remove: Callable[[], bool]) -> bool:
    """Remove one thing and say so; return whether it is gone."""
    try:
        if remove():
            print(f"removed {what}")
    except (OSError, KernelError) as error:
        print(f"remove {what}: {error}", file=sys.stderr)
        return False
    return True


def _steps(settings: Settings) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Yield what is to be removed, in order: first what has a runtime start pods, last what this needs itself."""
    networks = settings.cni_conf_dir or USUAL_CNI_CONF_DIR
    with_calico = (networks / CALICOS).exists()  # its node is here again: what both use is its own
    calicos = (settings.nodename_file, settings.mtu_file)
    if not with_calico and (noted := _host_local(networks / CONFLIST)) is not None:
        yield f"{noted}, which {HOST_LOCAL} noted", partial(_folder, noted)
    files = (networks / CONFLIST, networks / KEPT, networks / CALICOS_ASIDE, settings.cni_bin_dir / BINARY)
    for path in (*files, *(() if with_calico else calicos)):
        yield str(path), partial(_file, path)
    ownership = Ownership(settings.protocol, settings.learned_protocol, settings.metric)
    yield f"routes of protocols {ownership.local} and {ownership.learned}", lambda: asyncio.run(_routes(ownership))
    yield f"table inet {TABLE} of nftables", partial(_rules, lambda: NftablesWriter(TABLE))
    yield "rules in iptables' chain FORWARD", partial(_rules, lambda: ForeignChainWriter(CHAINS))
    if not with_calico:
        yield f"the addresses of {IPIP.device}", _tunnel
    for folder in (settings.state_dir, settings.run_dir):
        yield str(folder), partial(_folder, folder)
    for folder in dict.fromkeys(path.parent for path in calicos):
        yield str(folder), partial(_empty_folder, folder)


def _host_local(conflist: Path) -> Path | None:
    """Return where `host-local` notes the addresses of our network, as what is installed says; None: nowhere."""
    try:
        document = json.loads(conflist.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    match document:
        case {"name": str(name), "plugins": [{"type": str(plugin), "ipam": {"type": str(ipam)} as how}, *_]} if (
            plugin == BINARY and ipam == HOST_LOCAL and name not in ("", ".", "..") and "/" not in name
        ):
            return Path(str(how.get("dataDir") or HOST_LOCAL_DATA)) / name
    return None


def _file(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _folder(folder: Path) -> bool:
    """Remove a folder with what is in it; one that is mounted here, as in a container, is emptied."""
    if not folder.exists():
        return False
    held = list(folder.iterdir())
    for each in held:
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
    return _empty_folder(folder) or bool(held)


def _empty_folder(folder: Path) -> bool:
    """Remove a folder unless others have something in it, or it is mounted here."""
    try:
        folder.rmdir()
    except OSError as error:
        # A mounted one is EBUSY, and EROFS first where what it is mounted in is a container's own, which is read-only.
        if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY, errno.EROFS):
            return False
        raise
    return True


async def _routes(ownership: Ownership) -> bool:
    with closing(Rtnetlink()) as kernel:
        found = await kernel.dump((ownership.local, ownership.learned))
        ours = [(prefix, spec) for prefix, spec in found if ownership.has(spec)]
        if refused := await kernel.apply((), ours):
            raise KernelError(f"{len(refused)} of {len(ours)} were refused, such as {refused[0]}")
        return bool(ours)


def _rules(open_writer: Callable[[], NftablesWriter | ForeignChainWriter]) -> bool:
    try:
        with closing(open_writer()) as writer:
            return writer.bring_in_line(None)
    except KernelError as error:
        if error.errno in ABSENT:  # a kernel without nftables
            return False
        raise


def _tunnel() -> bool:
    """Take the tunnel's end down, which the kernel keeps; without the guard it would unpack what anybody sends."""
    with closing(Devices()) as devices:
        link = devices.link(IPIP.device)
        if link is None:
            return False
        found = devices.addresses(link.index)
        for one in found:
            devices.remove_address(link.index, one.address, one.length)
        if link.up:
            devices.set_down(link.index)
        return bool(found) or link.up


if __name__ == "__main__":
    sys.exit(main())
