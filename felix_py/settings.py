"""This process's settings: from the environment, then a file, then defaults.

Names are Calico's where Calico has the setting (calico-node's environment), so that a manifest can be carried
over; ours begin with FELIX_. Pure but for `read_file`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

DEFAULT_FILE = Path("/etc/felix/felix.cfg")


class SettingsError(Exception):
    """A setting that cannot be used, as a sentence that names it."""


def _encapsulation(text: object) -> object:
    """Accept Calico's older spellings: Off, cross-subnet, in any case."""
    spellings = {"": "Never", "off": "Never", "never": "Never", "always": "Always"}
    spellings |= {"crosssubnet": "CrossSubnet", "cross-subnet": "CrossSubnet"}
    return spellings.get(text.lower(), text) if isinstance(text, str) else text


def _log_level(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


Encapsulation = Annotated[Literal["Never", "Always", "CrossSubnet"], BeforeValidator(_encapsulation)]
Port = Annotated[int, Field(ge=0, le=65535)]


class PoolDefaults(BaseModel):
    """How start-up makes the first pool of one family, when there is none."""

    model_config = ConfigDict(frozen=True)

    cidr: str | None = None  # None: choose; "none": make no pool
    block_size: int
    ipip: Encapsulation = "Never"
    vxlan: Encapsulation = "Never"
    nat_outgoing: bool
    node_selector: str = "all()"
    disable_bgp_export: bool = False


class Settings(BaseModel):
    """Everything that this process was told. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodename: str = ""
    hostname: str = ""
    nodename_file: Path = Path("/var/lib/calico/nodename")
    mtu_file: Path = Path("/var/lib/calico/mtu")
    datastore: str = "sqlite:///var/lib/felix/cluster.db"
    run_dir: Path = Path("/run/felix")
    state_dir: Path = Path("/var/lib/felix")
    cni_conf_dir: Path | None = None
    cni_network_config: Path | None = None

    ip: str = ""
    ip6: str = "none"
    ip_autodetection_method: str = "first-found"
    ip6_autodetection_method: str = "first-found"
    disable_node_ip_check: bool = False
    as_number: str = ""
    router_id: str = ""
    cluster_type: str = ""

    no_default_pools: bool = False
    ipv4_pool: PoolDefaults = PoolDefaults(block_size=26, nat_outgoing=True)
    ipv6_pool: PoolDefaults = PoolDefaults(block_size=122, nat_outgoing=False)

    protocol: Annotated[int, Field(ge=5, le=255)] = 80
    learned_protocol: Annotated[int, Field(ge=5, le=255)] = 81
    metric: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1030
    interface_prefix: Annotated[str, Field(min_length=1, max_length=4)] = "cali"
    mtu: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: the host's
    repair: bool = True  # put right what others change in our routes

    health_host: str = "127.0.0.1"
    health_port: Port = 9099  # 0: only the socket
    status_mode: str = "0666"
    resync_seconds: Annotated[float, Field(ge=0)] = 300  # 0: never dump again without a reason
    check_seconds: Annotated[float, Field(ge=0)] = 60  # 0: invariants are checked only when asked
    leak_grace_seconds: Annotated[float, Field(ge=0)] = 900  # an address without an owner is released; 0: never
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_log_level)] = "INFO"


# environment name → field; pools below, as their names are regular
_NAMES: dict[str, str] = {
    "NODENAME": "nodename",
    "HOSTNAME": "hostname",
    "CALICO_NODENAME_FILE": "nodename_file",
    "FELIX_MTUFILE": "mtu_file",
    "FELIX_DATASTORE": "datastore",
    "FELIX_RUN_DIR": "run_dir",
    "FELIX_STATE_DIR": "state_dir",
    "FELIX_CNICONFDIR": "cni_conf_dir",
    "FELIX_CNINETWORKCONFIG": "cni_network_config",
    "IP": "ip",
    "IP6": "ip6",
    "IP_AUTODETECTION_METHOD": "ip_autodetection_method",
    "IP6_AUTODETECTION_METHOD": "ip6_autodetection_method",
    "DISABLE_NODE_IP_CHECK": "disable_node_ip_check",
    "AS": "as_number",
    "CALICO_ROUTER_ID": "router_id",
    "CLUSTER_TYPE": "cluster_type",
    "NO_DEFAULT_POOLS": "no_default_pools",
    "FELIX_PROTOCOL": "protocol",
    "FELIX_LEARNEDPROTOCOL": "learned_protocol",
    "FELIX_METRIC": "metric",
    "FELIX_INTERFACEPREFIX": "interface_prefix",
    "FELIX_MTU": "mtu",
    "FELIX_REPAIR": "repair",
    "FELIX_HEALTHHOST": "health_host",
    "FELIX_HEALTHPORT": "health_port",
    "FELIX_STATUSMODE": "status_mode",
    "FELIX_ROUTEREFRESHINTERVAL": "resync_seconds",
    "FELIX_CHECKINTERVAL": "check_seconds",
    "FELIX_LEAKGRACEPERIOD": "leak_grace_seconds",
    "FELIX_LOGSEVERITYSCREEN": "log_level",
}
_POOL_NAMES: dict[str, str] = {
    "CIDR": "cidr",
    "BLOCK_SIZE": "block_size",
    "IPIP": "ipip",
    "VXLAN": "vxlan",
    "NAT_OUTGOING": "nat_outgoing",
    "NODE_SELECTOR": "node_selector",
    "DISABLE_BGP_EXPORT": "disable_bgp_export",
}


def settings_from(environment: Mapping[str, str], file: Mapping[str, str] | None = None) -> Settings:
    """Return the settings said by the environment, else by the file, else by default.

    An empty value counts as unset. A name beginning with FELIX_ that we do not know is ignored, as Calico has
    many more; one in our file is refused. Raises SettingsError.
    """
    file = file or {}
    if unknown := sorted(file.keys() - _NAMES.keys() - _pool_names().keys()):
        raise SettingsError(f"read the settings file: {unknown[0]} is not a setting; remove or correct it")
    said = {name: value for name, value in {**file, **environment}.items() if value.strip()}
    fields: dict[str, object] = {field: said[name].strip() for name, field in _NAMES.items() if name in said}
    try:
        for family, field, defaults in _POOL_FAMILIES:
            values = {key: said[name] for name, key in _pool_names(family).items() if name in said}
            fields[field] = PoolDefaults.model_validate(defaults | values)
        settings = Settings.model_validate(fields)
    except ValidationError as error:
        raise SettingsError(_sentence(error, said)) from None
    _check_addresses(settings)
    return settings


_POOL_FAMILIES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("IPV4", "ipv4_pool", {"block_size": 26, "nat_outgoing": True}),
    ("IPV6", "ipv6_pool", {"block_size": 122, "nat_outgoing": False}),
)


def _pool_names(*families: str) -> dict[str, str]:
    return {
        f"CALICO_{family}POOL_{suffix}": key
        for family in families or ("IPV4", "IPV6")
        for suffix, key in _POOL_NAMES.items()
    }


def _sentence(error: ValidationError, said: Mapping[str, str]) -> str:
    """Turn pydantic's first complaint into a sentence that names the variable as the user wrote it."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "?"
    names = {**{f: n for n, f in _NAMES.items()}, **{f: n for n, f in _pool_names().items() if n in said}}
    name = names.get(field, field)
    return f"setting {name}={said.get(name, '')!r}: {first['msg'].lower()}; the agent does not start"


def _check_addresses(settings: Settings) -> None:
    for name, text, version in (("IP", settings.ip, 4), ("IP6", settings.ip6, 6)):
        if text in ("", "none", "autodetect"):
            continue
        try:
            fits = ipaddress.ip_interface(text).version == version
        except ValueError:
            fits = False
        if not fits:
            raise SettingsError(
                f"setting {name}={text!r}: not an IPv{version} address (with or without /length), "
                "nor autodetect or none; the agent does not start"
            )
    if settings.as_number:
        parse_as_number(settings.as_number)
    if settings.protocol == settings.learned_protocol:
        raise SettingsError(
            f"settings FELIX_PROTOCOL and FELIX_LEARNEDPROTOCOL are both {settings.protocol}: "
            "local and learned routes must be told apart; the agent does not start"
        )


def parse_as_number(text: str) -> int:
    """Return an AS number written plainly or dotted (`65000`, `1.10`). Raises SettingsError."""
    high, dot, low = text.partition(".")
    parts = [high, low] if dot else [high]
    if all(re.fullmatch(r"\d+", part) for part in parts):
        number = int(high) * 65536 + int(low) if dot else int(high)
        if 0 < number < 2**32 and (not dot or int(low) < 65536):
            return number
    raise SettingsError(f"setting AS={text!r}: not an AS number (1 to 4294967295, or dotted); the agent does not start")


def read_file(path: Path) -> dict[str, str]:
    """Return the settings file's `NAME = value` lines; `#` begins a comment. A missing file says nothing.

    Raises SettingsError: a line that is neither.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"read settings from {path}: {error.strerror}; the agent does not start") from None
    said = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        name, equals, value = text.partition("=")
        if text and not equals:
            raise SettingsError(f"read settings from {path}: line {number} is not NAME = value: {text!r}")
        if text:
            said[name.strip()] = value.strip()
    return said


def node_name(settings: Settings, stored: str, system: str) -> str:
    """Return this node's name: NODENAME, else the stored one, else HOSTNAME, else the system's (lower-cased)."""
    for name in (settings.nodename.strip(), stored.strip(), settings.hostname.strip().lower()):
        if name:
            return name
    return system.strip().lower()
