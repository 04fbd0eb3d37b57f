"""This process's settings: from the environment, then a file, then defaults.

Names are Calico's where Calico has the setting (calico-node's environment), so that a manifest can be carried over;
ours begin with FELIX_. Every value is parsed here: what a `Settings` holds can be used as it is.

Pure but for `read_file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from datastore.calico_settings import given_by, store_url, with_group
from datastore.defaults import DEFAULT_URL
from datastore.errors import Invalid
from datastore.fields import Network, network
from datastore.kinds.pools import IPPool
from datastore.notices import Notice
from datastore.record import is_name
from felix_py.configuration.setting_types import (
    LONGEST_FOLDER_BYTES,
    AbsolutePath,
    AddressChoice,
    AsNumber,
    Detection,
    DevicePrefix,
    Encapsulation,
    FileMode,
    Host,
    IPv4NodeAddress,
    IPv6NodeAddress,
    LogLevel,
    NamespaceName,
    NatAddress,
    NatDevice,
    NatExclusion,
    NatExclusions,
    Networks,
    NodeName,
    PodMtu,
    PoolNetwork,
    PortRange,
    RouterId,
    SelectorText,
    SocketFolder,
    StoreUrl,
)
from felix_py.configuration.unread_variables import obeyed_variables, unread_variables
from felix_py.host.autodetect import FIRST_FOUND
from felix_py.routes.fib import Ownership
from felix_py.status_model import STATUS_PORT

DEFAULT_FILE = Path("/etc/felix/felix.cfg")
_OWNERSHIP = Ownership()


class SettingsError(Exception):
    """A setting that cannot be used, as a sentence that names it."""


def _setting(name: str, default: Any, allowed: str, **bounds: Any) -> Any:
    """Return a field that is read from this variable. allowed: its values, in the words of a refusal."""
    return Field(default, validation_alias=name, description=allowed, **bounds)


def _number(name: str, default: int, least: int, most: int, zero: str = "") -> Any:
    return _setting(name, default, f"a number from {least} to {most}{zero and f' (0: {zero})'}", ge=least, le=most)


def _seconds(name: str, default: float, zero: str) -> Any:
    most = 365 * 86400
    allowed = f"a number of seconds from 0 to {most} (0: {zero})"
    return _setting(name, default, allowed, ge=0, le=most, allow_inf_nan=False)


_NAME = "1 to 253 lower-case letters, digits, dots, dashes and underscores"
_PATH = "an absolute path"
_SWITCH = "true or false"
_MODES = "Never, Always or CrossSubnet"
_METHODS = (
    "first-found, kubernetes-internal-ip, can-reach=HOST, interface=REGEX, skip-interface=REGEX or cidr=CIDR,"
    " the last three with commas between several"
)


class _Group(BaseModel):
    """Values by variable at the border, by name of the field in Python."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PoolDefaults(_Group):
    """How start-up makes the first pool of one family, when there is none. A cidr of None: choose; "none": no pool."""

    EXAMPLE: ClassVar[Network]
    cidr: PoolNetwork | None = _setting(
        "CIDR",
        None,
        "a network of this family, or none; unset: kubeadm's pod subnet, else a free network",
    )
    block_size: int
    ipip: Encapsulation = "Never"
    vxlan: Encapsulation = _setting("VXLAN", "Never", _MODES)
    nat_outgoing: bool
    node_selector: SelectorText = _setting("NODE_SELECTOR", "all()", "a selector such as has(rack)")
    disable_bgp_export: bool = _setting("DISABLE_BGP_EXPORT", False, _SWITCH)

    def pool(self, name: str, cidr: Network) -> IPPool:
        """Raises Invalid: the values do not fit each other, or not this network."""
        return IPPool.make(
            name,
            cidr=str(cidr),
            blockSize=self.block_size,
            ipipMode=self.ipip,
            vxlanMode=self.vxlan,
            natOutgoing=self.nat_outgoing,
            nodeSelector=self.node_selector,
            disableBGPExport=self.disable_bgp_export,
            allowedUses=["Workload", "Tunnel"],
        )


class IPv4PoolDefaults(PoolDefaults):
    EXAMPLE = network("192.168.0.0/16")
    block_size: int = _number("BLOCK_SIZE", 26, 20, 32)
    ipip: Encapsulation = _setting("IPIP", "Never", _MODES)
    nat_outgoing: bool = _setting("NAT_OUTGOING", True, _SWITCH)


class IPv6PoolDefaults(PoolDefaults):
    EXAMPLE = network("fd00::/48")
    block_size: int = _number("BLOCK_SIZE", 122, 116, 128)
    nat_outgoing: bool = _setting("NAT_OUTGOING", False, _SWITCH)


class Settings(_Group):
    """Everything that this process is configured with. Times are in seconds."""

    nodename: NodeName = _setting("NODENAME", "", _NAME)
    hostname: str = _setting("HOSTNAME", "", "a host's name")
    namespace: NamespaceName = _setting(
        "NAMESPACE",
        "kube-system",
        "a namespace, 1 to 63 lower-case letters, digits and dashes: the Secrets of BGP passwords are in it",
    )
    nodename_file: AbsolutePath = _setting("CALICO_NODENAME_FILE", Path("/var/lib/calico/nodename"), _PATH)
    mtu_file: AbsolutePath = _setting("FELIX_MTUFILE", Path("/var/lib/calico/mtu"), _PATH)
    datastore: StoreUrl = _setting(
        "FELIX_DATASTORE",
        DEFAULT_URL,
        "sqlite:// and the absolute path of a file, or kubernetes://; unset: kubernetes:// where DATASTORE_TYPE is"
        " kubernetes",
    )
    run_dir: SocketFolder = _setting(
        "FELIX_RUN_DIR", Path("/run/felix"), f"{_PATH} of at most {LONGEST_FOLDER_BYTES} bytes"
    )
    state_dir: AbsolutePath = _setting("FELIX_STATE_DIR", Path("/var/lib/felix"), _PATH)
    cni_conf_dir: AbsolutePath | None = _setting("FELIX_CNICONFDIR", None, _PATH)
    cni_bin_dir: AbsolutePath = _setting("FELIX_CNIBINDIR", Path("/opt/cni/bin"), _PATH)
    proc_sys: AbsolutePath = _setting(
        "FELIX_PROCSYS",
        Path("/proc/sys"),
        f"{_PATH}: where sysctls can be written, as a container's own /proc/sys is read-only",
    )
    cni_network_config: AbsolutePath | None = _setting("FELIX_CNINETWORKCONFIG", None, _PATH)

    ip: IPv4NodeAddress = _setting(
        "IP", AddressChoice.KEEP, "an IPv4 address with or without /length, autodetect or none"
    )
    ip6: IPv6NodeAddress = _setting(
        "IP6", AddressChoice.NONE, "an IPv6 address with or without /length, autodetect or none"
    )
    ip_autodetection_method: Detection = _setting("IP_AUTODETECTION_METHOD", FIRST_FOUND, _METHODS)
    ip6_autodetection_method: Detection = _setting("IP6_AUTODETECTION_METHOD", FIRST_FOUND, _METHODS)
    disable_node_ip_check: bool = _setting("DISABLE_NODE_IP_CHECK", False, _SWITCH)
    as_number: AsNumber | None = _setting("AS", None, "an AS number from 1 to 4294967295, or dotted as 1.10")
    router_id: RouterId | None = _setting("CALICO_ROUTER_ID", None, "an IPv4 address other than 0.0.0.0, or hash")
    use_pod_cidr: bool = _setting(
        "USE_POD_CIDR", False, f"{_SWITCH}: pods have addresses of their Node's podCIDRs, given by host-local"
    )
    cluster_type: str = _setting("CLUSTER_TYPE", "", "any text")

    no_default_pools: bool = _setting("NO_DEFAULT_POOLS", False, _SWITCH)
    ipv4_pool: IPv4PoolDefaults = IPv4PoolDefaults()
    ipv6_pool: IPv6PoolDefaults = IPv6PoolDefaults()

    protocol: int = _number("FELIX_PROTOCOL", _OWNERSHIP.local, 5, 255)
    learned_protocol: int = _number("FELIX_LEARNEDPROTOCOL", _OWNERSHIP.learned, 5, 255)
    metric: int = _number("FELIX_METRIC", _OWNERSHIP.metric, 1, 2**31 - 1)
    interface_prefix: DevicePrefix = _setting(
        "FELIX_INTERFACEPREFIX", "cali", "1 to 4 letters, digits, dots, dashes and underscores"
    )
    mtu: PodMtu = _setting("FELIX_MTU", 0, "a number from 68 to 65535, or 0: as the host's")
    ipip_mtu: int = _number(
        "FELIX_IPINIPMTU", 0, 0, 65535, "ipipMTU of FelixConfiguration, else what the host's leaves"
    )
    nat_outgoing_address: NatAddress = _setting(
        "FELIX_NATOUTGOINGADDRESS", None, "an IPv4 address, or none: one of the device that packets leave by"
    )
    nat_port_range: PortRange = _setting(
        "FELIX_NATPORTRANGE", None, "two ports from 1 to 65535 such as 1024:65535, or none: any"
    )
    nat_outgoing_exclusions: NatExclusion = _setting(
        "FELIX_NATOUTGOINGEXCLUSIONS", NatExclusions.POOLS, "IPPoolsOnly or IPPoolsAndHostIPs"
    )
    nat_outgoing_device: NatDevice = _setting(
        "FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER", "", "a device's name, or its beginning and +; none: any device"
    )
    external_nodes: Networks = _setting(
        "FELIX_EXTERNALNODESCIDRLIST", (), "networks or addresses with commas between them, or none"
    )
    forward_accept: bool = _setting("FELIX_FORWARDACCEPT", True, _SWITCH)
    repair: bool = _setting("FELIX_REPAIR", True, _SWITCH)  # put right what others change in our routes

    health_host: Host = _setting("FELIX_HEALTHHOST", "127.0.0.1", "an address or a host's name")
    health_port: int = _number("FELIX_HEALTHPORT", 9099, 0, 65535, "only the socket")
    status_port: int = _number("FELIX_STATUSPORT", STATUS_PORT, 0, 65535, "none; it needs Kubernetes")
    status_mode: FileMode = _setting("FELIX_STATUSMODE", 0o666, "a file's mode in octal such as 0660")
    resync_seconds: float = _seconds("FELIX_ROUTEREFRESHINTERVAL", 300, "never")
    check_seconds: float = _seconds("FELIX_CHECKINTERVAL", 60, "only when asked")
    leak_grace_seconds: float = _seconds("FELIX_LEAKGRACEPERIOD", 900, "never")
    loss_hold_seconds: float = _seconds("FELIX_LOSSHOLDPERIOD", 6 * 3600, "not at all")
    controller_host: Host = _setting(
        "FELIX_CONTROLLERHOST", "0.0.0.0", "an address or a host's name, of the controller's pages"
    )
    controller_port: int = _number("FELIX_CONTROLLERPORT", 9094, 0, 65535, "the controller serves no pages")
    log_level: LogLevel = _setting(
        "FELIX_LOGSEVERITYSCREEN",
        "INFO",
        "trace, debug, info, warning, error, fatal or none; unset: FelixConfiguration's, else info",
    )

    compare_decoders: bool = _setting("FELIX_BGPCOMPAREDECODERS", False, _SWITCH)  # read by the sidecar too

    notices: tuple[InstanceOf[Notice], ...] = ()
    """Variables of the environment that are set and not read."""


G = TypeVar("G", bound=_Group)

_POOLS: Mapping[str, tuple[str, type[PoolDefaults]]] = {
    "CALICO_IPV4POOL_": ("ipv4_pool", IPv4PoolDefaults),
    "CALICO_IPV6POOL_": ("ipv6_pool", IPv6PoolDefaults),
}


def variables() -> dict[str, str]:
    """Return what every setting allows, by its variable."""
    groups: list[tuple[str, type[_Group]]] = [("", Settings), *((p, model) for p, (_, model) in _POOLS.items())]
    return {prefix + name: allowed for prefix, model in groups for name, allowed in _variables_of(model)}


def _variables_of(model: type[_Group]) -> Iterator[tuple[str, str]]:
    for field in model.model_fields.values():
        if isinstance(field.validation_alias, str):
            yield field.validation_alias, field.description or ""


def settings_from(environment: Mapping[str, str], file: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment, else of the file, else the defaults. An empty value counts as unset.

    A name in our file that is no setting is refused. A variable that is not read is among the settings' notices.
    Raises SettingsError.
    """
    known, file = variables(), file or {}
    if unknown := sorted(file.keys() - known.keys()):
        raise SettingsError(f"read the settings file: {unknown[0]!r} is not a setting; remove or correct it")
    written = {
        name: text.strip()
        for source in (file, environment)
        for name, text in source.items()
        if name in known and text.strip()
    }
    for name, text in written.items():
        if not text.isprintable():
            raise SettingsError(_refusal(name, text, "printable text in UTF-8"))
    if asked := "FELIX_DATASTORE" not in written and _calicos_store(environment):
        written["FELIX_DATASTORE"] = asked
    pools = {field: _pool_defaults(prefix, model, written) for prefix, (field, model) in _POOLS.items()}
    settings = _parsed(Settings, "", {n: t for n, t in written.items() if not n.startswith(tuple(_POOLS))}, pools)
    if settings.protocol == settings.learned_protocol:
        raise SettingsError(
            f"settings FELIX_PROTOCOL and FELIX_LEARNEDPROTOCOL are both {settings.protocol}: "
            f"local and learned routes must be distinguishable"
        )
    url = _with_group(settings.datastore, environment)
    unread = unread_variables(environment, {*known, *obeyed_variables(environment, url, bool(asked))})
    if settings.ip6 is AddressChoice.NONE:  # then IPv6 is off, as FELIX_IPV6SUPPORT=false asks
        unread = tuple(notice for notice in unread if notice.name.upper() != "FELIX_IPV6SUPPORT")
    return settings.model_copy(update={"datastore": url, "notices": unread})


def _calicos_store(environment: Mapping[str, str]) -> str | None:
    """Return the URL of the datastore that Calico's variables ask for; None: they ask for none."""
    try:
        return store_url(given_by(environment))
    except Invalid as error:
        raise SettingsError(f"{error}") from None


def _with_group(url: str, environment: Mapping[str, str]) -> str:
    """Return the datastore's URL with the group of Calico's resources that Calico's variables ask for."""
    try:
        return with_group(url, given_by(environment))
    except Invalid as error:
        raise SettingsError(f"{error}") from None


def _pool_defaults(prefix: str, model: type[PoolDefaults], written: Mapping[str, str]) -> PoolDefaults:
    mine = {name.removeprefix(prefix): text for name, text in written.items() if name.startswith(prefix)}
    defaults = _parsed(model, prefix, mine)
    cidr = model.EXAMPLE if defaults.cidr in (None, "none") else network(str(defaults.cidr))
    if cidr.version != model.EXAMPLE.version:
        raise SettingsError(_refusal(f"{prefix}CIDR", str(cidr), variables()[f"{prefix}CIDR"]))
    try:
        defaults.pool("default", cidr)
    except Invalid as error:
        raise SettingsError(f"settings {prefix}…: they make no pool: {error}") from None
    return defaults


def _parsed(model: type[G], prefix: str, written: Mapping[str, str], values: Mapping[str, Any] | None = None) -> G:
    try:
        return model.model_validate({**written, **(values or {})})
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), str(first.get("ctx", {}).get("error", ""))
        raise SettingsError(_refusal(prefix + name, written[name], variables()[prefix + name], reason)) from None


def _refusal(name: str, text: str, allowed: str, reason: str = "") -> str:
    shown = text if len(text) <= 100 else f"{text[:97]}..."
    return f"setting {name}={shown!r}: {reason if 0 < len(reason) < 200 else 'not valid'}; use {allowed}"


def read_file(named: str, usual: Path = DEFAULT_FILE) -> dict[str, str]:
    """Return the settings of the file that is named; where none is, of the usual one, which may be missing.

    Raises SettingsError: it can't be read.
    """
    path = named or str(usual)
    try:
        return parse_file(Path(path).read_bytes(), path)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not named:
            return {}
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"read settings from {path!r}: {reason}") from None


def parse_file(content: bytes, source: str) -> dict[str, str]:
    """Return the lines `NAME = value` of a settings file; `#` begins a comment.

    Raises SettingsError: a line is none, or the file is not UTF-8.
    """
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(f"read settings from {source!r}: byte {error.start} is not UTF-8") from None
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        name, equals, value = text.partition("=")
        if text and not equals:
            raise SettingsError(f"read settings from {source!r}: line {number} is not NAME = value: {text!r}")
        if text:
            found[name.strip()] = value.strip()
    return found


def node_name(settings: Settings, stored: str, system: str) -> str:
    """Return this node's name: NODENAME, else the stored one, else HOSTNAME, else the system's (lower-cased).

    Raises SettingsError: all are empty, or the first that is not can't be a Node's name.
    """
    for source, text in (
        ("NODENAME", settings.nodename),
        (str(settings.nodename_file), stored.strip()),
        ("HOSTNAME", settings.hostname.lower()),
        ("the host", system.strip().lower()),
    ):
        if text and not is_name(text):
            raise SettingsError(f"name this node {text!r}, from {source}: not {_NAME}; set NODENAME")
        if text:
            return text
    raise SettingsError("name this node: NODENAME, HOSTNAME and the host's name are all empty; set NODENAME")


def guid_file(settings: Settings) -> Path:
    """Return where the agent notes which cluster it belongs to."""
    return settings.state_dir / "cluster-guid"


def records_file(settings: Settings) -> Path:
    """Return where the agent notes what it knew of its cluster."""
    return settings.state_dir / "known-records"


def events_file(settings: Settings) -> Path:
    """Return where the agent notes what it said in Events about its Node."""
    return settings.state_dir / "events"


def passwords_file(settings: Settings) -> Path:
    """Return where the agent notes the passwords of sessions: in a folder that does not outlive the host's start."""
    return settings.run_dir / "bgp-passwords"
