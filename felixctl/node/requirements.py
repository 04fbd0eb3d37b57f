"""What a node's system must have and should have, what each is for, and which of it was found.

Pure: what was read of the system is handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from felixctl.node import runtime_requirements
from felixctl.node.findings import Availability, Finding
from felixctl.node.runtime_requirements import HostFiles
from felixctl.tables import plain
from net.printable import one_line


class KernelFeature(Struct, frozen=True):
    """An option of the kernel's build, or a module."""

    name: str
    option: str
    """As the kernel's configuration calls it, without CONFIG_."""
    module: str | None
    purpose: str
    required: bool = False


class Sysctl(Struct, frozen=True):
    path: str
    accepted: tuple[str, ...]
    purpose: str
    required: bool = False
    by_agent: bool = False
    """The agent sets it where pods need it."""

    @property
    def name(self) -> str:
        return self.path.replace("/", ".")


class Dependency(Struct, frozen=True):
    """A program found by PATH, or a Python package."""

    name: str
    purpose: str
    required: bool = False


FEATURES = (
    KernelFeature("network namespaces", "NET_NS", None, "every pod has its own", required=True),
    KernelFeature("veth", "VETH", "veth", "a pod's pair of devices", required=True),
    KernelFeature("IPv4 multipath", "IP_ROUTE_MULTIPATH", None, "several equally good next hops at once"),
    KernelFeature("IPv6", "IPV6", "ipv6", "pools of IPv6 addresses"),
    KernelFeature("TCP MD5", "TCP_MD5SIG", None, "BGP sessions with a password"),
    KernelFeature("ipip", "NET_IPIP", "ipip", "pools with ipipMode Always or CrossSubnet"),
    KernelFeature("vxlan", "VXLAN", "vxlan", "pools with vxlanMode, which is not obeyed yet"),
    KernelFeature("nftables", "NF_TABLES", "nf_tables", "pools with natOutgoing or ipipMode"),
    KernelFeature("user namespaces", "USER_NS", None, "felixctl lab without root"),
)
SYSCTLS = (
    Sysctl("net/ipv4/ip_forward", ("1",), "packets between pods and other nodes", True, by_agent=True),
    Sysctl("net/ipv6/conf/all/forwarding", ("1",), "the same for IPv6 pods", by_agent=True),
    Sysctl("net/ipv4/conf/all/rp_filter", ("0", "2"), "pods whose replies take another path than the requests"),
)
PROGRAMS = (
    Dependency("ip", "felixctl lab"),
    Dependency("ping", "felixctl lab"),
    Dependency("unshare", "felixctl lab"),
    Dependency("nsenter", "felixctl lab exec"),
    Dependency("tcpdump", "capturing packets"),
)
LIBRARIES = (
    Dependency("exabgp", "BGP sessions", required=True),
    Dependency("pyroute2", "felixctl lab, which wires its nodes with it; the agent does not import it"),
)


NOTHING_KNOWN = HostFiles()


class System(Struct, frozen=True):
    """What was read of one node."""

    release: str
    options: Mapping[str, str] | None
    """The kernel's configuration; None if it could not be read."""
    loaded: Collection[str] = ()
    loadable: Collection[str] = ()
    sysctls: Mapping[str, str] | None = None
    programs: Collection[str] = ()
    """Programs and libraries that were found."""
    fixed_sysctls: bool = False
    """Sysctls cannot be set here: /proc/sys is mounted read-only."""
    host: HostFiles = NOTHING_KNOWN


def options(text: str) -> dict[str, str]:
    """Return a kernel's configuration: `CONFIG_VETH=m` and `# CONFIG_NET_IPIP is not set`."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name.removeprefix("CONFIG_")] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.removeprefix("# CONFIG_").removesuffix(" is not set")] = "n"
    return found


def findings(system: System) -> list[Finding]:
    """Return every requirement with its state, in the order in which they are listed."""
    return [
        *(Finding(one.name, _feature(one, system), one.purpose, one.required) for one in FEATURES),
        *(_sysctl(one, system.sysctls or {}, system.fixed_sysctls) for one in SYSCTLS),
        *runtime_requirements.findings(system.host),
        *(_dependency(one, system.programs) for one in (*LIBRARIES, *PROGRAMS)),
    ]


def _feature(feature: KernelFeature, system: System) -> Availability:
    """Return whether a feature is there. A loaded module is stronger evidence than the kernel's configuration."""
    if feature.module in system.loaded:
        return Availability.PRESENT
    if feature.module in system.loadable:
        return Availability.LOADABLE
    if system.options is None:
        return Availability.UNKNOWN
    match system.options.get(feature.option, "n"):
        case "y":
            return Availability.PRESENT
        case "m":  # a module that is not on this disk: a container does not see its host's
            return Availability.UNKNOWN
        case _:
            return Availability.MISSING


def _sysctl(sysctl: Sysctl, read: Mapping[str, str], fixed: bool) -> Finding:
    value = read.get(sysctl.path)
    if value in sysctl.accepted:
        return Finding(sysctl.name, Availability.PRESENT, sysctl.purpose, sysctl.required)
    if value is not None and sysctl.by_agent and not fixed:
        detail = f"it is {value}"
        return Finding(sysctl.name, Availability.BY_AGENT, sysctl.purpose, sysctl.required, detail)
    state, found = (Availability.MISSING, "absent") if value is None else (Availability.WRONG, value)
    by_hand = " on the host: /proc/sys is mounted read-only here" if fixed else ""
    advice = f"it is {found}; set {sysctl.name}={sysctl.accepted[-1]}{by_hand}"
    return Finding(sysctl.name, state, sysctl.purpose, sysctl.required, advice)


def _dependency(dependency: Dependency, found: Collection[str]) -> Finding:
    state = Availability.PRESENT if dependency.name in found else Availability.MISSING
    return Finding(dependency.name, state, dependency.purpose, dependency.required)


def report(system: System) -> str:
    """Return the table of requirements, and a sentence on whether they are met."""
    found = findings(system)
    rows = [
        (one.name, str(one.state), "yes" if one.required else "no", f"{one.purpose}{one.detail and f' ({one.detail})'}")
        for one in found
    ]
    table = plain(("NEEDED", "STATE", "ALWAYS", "FOR"), rows)
    return f"Kernel {system.release}\n\n{table}{''.join(_verdict(found, system))}"


def _verdict(found: Sequence[Finding], system: System) -> Iterator[str]:
    failing = [one for one in found if one.fails]
    if system.options is None:
        yield "The kernel's configuration is neither in /proc/config.gz nor in /boot; name it by --kernel-config.\n"
    if failing:
        for one in failing:
            detail = one.detail and f"; {one.detail}"
            yield one_line(f"{one.state.capitalize()}: {one.name}, for {one.purpose}{detail}.") + "\n"
        yield "This system can't run felix-py yet.\n"
    else:
        yield "This system can run felix-py.\n"


def module_names(paths: Iterable[str]) -> set[str]:
    """Return the modules that lines of modules.dep or modules.builtin name: `kernel/drivers/net/veth.ko.xz: …`."""
    names = (path.partition(":")[0].rpartition("/")[2].partition(".ko")[0] for path in paths)
    return {name.replace("-", "_") for name in names if name}
