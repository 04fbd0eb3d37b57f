"""What a node's system must have and should have, each with what it is for, and what of it is there.

Pure: what was read comes in as values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from felixctl.tables import plain


class State(StrEnum):
    """What is known of one need."""

    PRESENT = "there"
    LOADABLE = "loads when needed"
    MISSING = "MISSING"
    WRONG = "WRONG"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Feature:
    """Something the kernel is built with or not."""

    name: str
    option: str
    """As the kernel's configuration calls it, without CONFIG_."""
    module: str | None
    purpose: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Sysctl:
    path: str
    accepted: tuple[str, ...]
    purpose: str
    required: bool = False

    @property
    def name(self) -> str:
        return self.path.replace("/", ".")


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    purpose: str
    required: bool = False


FEATURES = (
    Feature("network namespaces", "NET_NS", None, "every pod has its own", required=True),
    Feature("veth", "VETH", "veth", "a pod's pair of devices", required=True),
    Feature("IPv4 multipath", "IP_ROUTE_MULTIPATH", None, "several equally good next hops at once"),
    Feature("IPv6", "IPV6", "ipv6", "pools of IPv6 addresses"),
    Feature("TCP MD5", "TCP_MD5SIG", None, "BGP sessions with a password"),
    Feature("ipip", "NET_IPIP", "ipip", "pools with ipipMode Always or CrossSubnet"),
    Feature("vxlan", "VXLAN", "vxlan", "pools with vxlanMode Always or CrossSubnet"),
    Feature("nftables", "NF_TABLES", "nf_tables", "pools with natOutgoing"),
    Feature("user namespaces", "USER_NS", None, "felixctl lab without root"),
)
SYSCTLS = (
    Sysctl("net/ipv4/ip_forward", ("1",), "packets between pods and other nodes", required=True),
    Sysctl("net/ipv6/conf/all/forwarding", ("1",), "the same for IPv6 pods"),
    Sysctl("net/ipv4/conf/all/rp_filter", ("0", "2"), "pods that are reached by one way and answer by another"),
)
PROGRAMS = (
    Program("ip", "reading along with ip route, and felixctl lab"),
    Program("ping", "felixctl lab"),
    Program("unshare", "felixctl lab"),
    Program("nsenter", "felixctl lab exec"),
    Program("tcpdump", "seeing packets with your own eyes"),
)
LIBRARIES = (Program("exabgp", "BGP sessions", required=True), Program("pyroute2", "devices of pods", required=True))


@dataclass(frozen=True, slots=True)
class System:
    """What was read of one node."""

    release: str
    options: Mapping[str, str] | None
    """The kernel's configuration; None if there is no telling."""
    loaded: Collection[str] = ()
    loadable: Collection[str] = ()
    sysctls: Mapping[str, str] | None = None
    programs: Collection[str] = ()
    """Programs and libraries that were found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One need, and what is known of it."""

    name: str
    state: State
    purpose: str
    required: bool
    detail: str = ""

    @property
    def fails(self) -> bool:
        return self.required and self.state in (State.MISSING, State.WRONG)


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
    """Return every need with what is known of it, in the order in which they are listed."""
    return [
        *(Finding(one.name, _feature(one, system), one.purpose, one.required) for one in FEATURES),
        *(_sysctl(one, system.sysctls or {}) for one in SYSCTLS),
        *(
            Finding(
                one.name, State.PRESENT if one.name in system.programs else State.MISSING, one.purpose, one.required
            )
            for one in (*LIBRARIES, *PROGRAMS)
        ),
    ]


def _feature(feature: Feature, system: System) -> State:
    """Return what is known of a feature: a module that is loaded proves more than any configuration."""
    if feature.module in system.loaded:
        return State.PRESENT
    if feature.module in system.loadable:
        return State.LOADABLE
    if system.options is None:
        return State.UNKNOWN
    match system.options.get(feature.option, "n"):
        case "y":
            return State.PRESENT
        case "m":  # built as a module, which is not on this disk: a container does not see its host's
            return State.UNKNOWN
        case _:
            return State.MISSING


def _sysctl(sysctl: Sysctl, read: Mapping[str, str]) -> Finding:
    value = read.get(sysctl.path)
    state = State.PRESENT if value in sysctl.accepted else State.MISSING if value is None else State.WRONG
    wanted = f"it is {'absent' if value is None else value}; set {sysctl.name}={sysctl.accepted[-1]}"
    detail = "" if state is State.PRESENT else wanted
    return Finding(sysctl.name, state, sysctl.purpose, sysctl.required, detail)


def report(system: System) -> str:
    """Return the table of needs, and a sentence on whether the system will do."""
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
        yield "".join(f"{one.state.capitalize()}: {one.name}, for {one.purpose}.\n" for one in failing)
        yield "This system can't run felix-py yet.\n"
    else:
        yield "This system can run felix-py.\n"


def module_names(paths: Iterable[str]) -> set[str]:
    """Return the modules that lines of modules.dep or modules.builtin name: `kernel/drivers/net/veth.ko.xz: …`."""
    names = (path.partition(":")[0].rpartition("/")[2].partition(".ko")[0] for path in paths)
    return {name.replace("-", "_") for name in names if name}
