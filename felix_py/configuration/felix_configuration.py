"""Which of Felix's fields are not obeyed, and what happens instead.

Pure. The names of `other_fields` are those of Calico v3.32 that the model here does not have, in the groups of its
documentation. Felix takes the same ones from its environment, as FELIX_ and the name in capitals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import get_args

from datastore.field_rules import OBEYED, FieldRules, NotObeyed, Rule, When
from datastore.kinds.cluster import FelixConfiguration
from felix_py.configuration.setting_types import (
    LogLevelName,
    log_level,
    nat_address,
    nat_device,
    nat_exclusions,
    networks,
    port_range,
)


def _setting(name: str, what: str, *unless: object) -> NotObeyed:
    return NotObeyed(f"{what} is the setting {name} of each node", "it stays as set there", unless)


def _group(reason: str, effect: str, **fields: object) -> dict[str, Rule]:
    """Return a rule for each of these fields, given with the value, or the tuple of values, that yields no notice."""
    return {
        f"spec.{name}": NotObeyed(reason, effect, unless if isinstance(unless, tuple) else (unless,))
        for name, unless in fields.items()
    }


_ANY = ()
_METRICS = "metrics are served at /metrics of FELIX_HEALTHHOST:FELIX_HEALTHPORT"


def _level(text: object) -> str | None:
    level = str(log_level(text))
    return level if level in get_args(LogLevelName) else None


def _is_refused_by(parse: Callable[[str], object], written: object) -> bool:
    try:
        parse(str(written))
    except ValueError:
        return True
    return False


def log_level_for(node: str, configurations: Mapping[str, FelixConfiguration]) -> str:
    """Return the level that FelixConfigurations set: the node's own, else the cluster's, else INFO."""
    for name in (f"node.{node}", "default"):
        if name in configurations and "log_severity_screen" in configurations[name].spec.model_fields_set:
            return _level(configurations[name].spec.log_severity_screen) or "INFO"
    return "INFO"


FIELDS: dict[str, Rule] = {
    "spec.logSeverityScreen": NotObeyed(
        "there is no such log level", "Info applies", when=When("any but a level", lambda text: _level(text) is None)
    ),
    "spec.interfacePrefix": _setting("FELIX_INTERFACEPREFIX", "what pods' devices are called", "cali"),
    "spec.routeRefreshInterval": _setting("FELIX_ROUTEREFRESHINTERVAL", "the time between full dumps of routes"),
    "spec.ipv6Support": NotObeyed(
        "IPv6 is served where the node has an IPv6 address", "set IP6=none on a node without it", (True,)
    ),
    "spec.ipipMTU": OBEYED,
    "spec.natOutgoingAddress": NotObeyed(
        "packets of IPv4 get one IPv4 address",
        "they get one of the device that they leave by",
        when=When("any but an IPv4 address", partial(_is_refused_by, nat_address)),
    ),
    "spec.natPortRange": NotObeyed(
        "it is no range of ports",
        "any port is taken",
        when=When("any but a port, or two as 1024:65535", partial(_is_refused_by, port_range)),
    ),
    "spec.natOutgoingExclusions": NotObeyed(
        "there is no such choice",
        "IPPoolsOnly applies",
        when=When("any but IPPoolsOnly and IPPoolsAndHostIPs", partial(_is_refused_by, nat_exclusions)),
    ),
    "spec.iptablesNATOutgoingInterfaceFilter": NotObeyed(
        "it is no name of a device",
        "packets that leave by any device get another source",
        when=When("any but a device's name, or its beginning and +", partial(_is_refused_by, nat_device)),
    ),
    "spec.externalNodesList": NotObeyed(
        "it is no list of networks or addresses",
        "only packets of nodes are taken from the tunnel",
        when=When("any but networks and addresses", lambda found: _is_refused_by(networks, ",".join(found))),
    ),
    "spec.ipForwarding": NotObeyed("forwarding is always switched on", "it is on", ("Enabled",)),
    "spec.deviceRouteProtocol": _setting("FELIX_PROTOCOL", "the protocol number of pods' routes", 80),
    "spec.healthEnabled": NotObeyed("health is always served", "FELIX_HEALTHPORT=0 on a node ends it there", (True,)),
    "spec.healthHost": _setting("FELIX_HEALTHHOST", "where health is served", "localhost", "127.0.0.1"),
    "spec.healthPort": _setting("FELIX_HEALTHPORT", "where health is served", 9099),
    "spec.prometheusMetricsEnabled": NotObeyed(_METRICS, "FELIX_HEALTHPORT=0 on a node ends it there"),
    "spec.prometheusMetricsHost": NotObeyed(_METRICS, "they are served there only"),
    "spec.prometheusMetricsPort": NotObeyed(_METRICS, "they are served there only"),
}

OTHER_FIELDS: dict[str, Rule] = {
    # Routes
    **_group("routes of other programs are never removed", "they stay", removeExternalRoutes=False),
    **_group(
        "pods' routes have no preferred source address",
        "the kernel chooses it",
        deviceRouteSourceAddress=_ANY,
        deviceRouteSourceAddressIPv6=_ANY,
    ),
    **_group("routes follow IPAM's blocks", "they do, as with CalicoIPAM", routeSource="CalicoIPAM"),
    **_group(
        "routes are in the main table only", "no other table is used", routeTableRange=_ANY, routeTableRanges=_ANY
    ),
    **_group("routes are always written", "they are written", routeSyncDisabled=False),
    **_group("this agent writes the routes of every pool", "it writes them", programClusterRoutes="Enabled"),
    **_group(
        "the metric of routes is the setting FELIX_METRIC of each node",
        "it stays as set there",
        ipv4NormalRoutePriority=_ANY,
        ipv6NormalRoutePriority=_ANY,
    ),
    **_group(
        "live migration is not implemented",
        "routes of a machine that moves have the usual metric",
        ipv4ElevatedRoutePriority=_ANY,
        ipv6ElevatedRoutePriority=_ANY,
        liveMigrationRouteConvergenceTime=_ANY,
    ),
    # Interfaces
    **_group("host endpoints are not implemented", "devices of the host are left alone", interfaceExclude=_ANY),
    **_group("devices are followed by netlink events", "no refresh is needed", interfaceRefreshInterval=_ANY),
    **_group(
        "the MTU is that of the devices that carry the node's addresses",
        "FELIX_MTU on a node sets another one",
        mtuIfacePattern=_ANY,
    ),
    **_group("pods get an MTU without a file", "they do not wait for one", requireMTUFile=False),
    **_group("how long netlink may take can't be set", "it stays as it is", netlinkTimeout=_ANY),
    # Encapsulation
    **_group("IPIP is on exactly where a pool has an ipipMode", "the pools apply", ipipEnabled=_ANY),
    **_group(
        "packets of pods are not filtered",
        "a pod may send encapsulated packets",
        allowIPIPPacketsFromWorkloads=True,
        allowVXLANPacketsFromWorkloads=True,
    ),
    **_group(
        "VXLAN is not implemented",
        "packets between nodes are routed without it",
        vxlanEnabled=False,
        vxlanPort=_ANY,
        vxlanVNI=_ANY,
        vxlanMTU=0,
        vxlanMTUV6=0,
    ),
    **_group(
        "WireGuard is not implemented",
        "packets between nodes are not encrypted",
        wireguardEnabled=False,
        wireguardEnabledV6=False,
        wireguardHostEncryptionEnabled=False,
        wireguardThreadingEnabled=False,
        wireguardMTU=0,
        wireguardMTUV6=0,
        **dict.fromkeys(
            (
                "wireguardListeningPort",
                "wireguardListeningPortV6",
                "wireguardInterfaceName",
                "wireguardInterfaceNameV6",
                "wireguardRoutingRulePriority",
                "wireguardKeepAlive",
            ),
            _ANY,
        ),
    ),
    # NAT
    **_group("floating IPs are not implemented", "no packet reaches a pod by one", floatingIPs="Disabled"),
    # Policy
    **_group(
        "policies are not enforced",
        "no packet is filtered or marked",
        nftablesMode=("Auto", "Disabled"),
        iptablesBackend="Auto",
        defaultEndpointToHostAction=("ACCEPT", "Accept", "Return", "RETURN"),
        serviceLoopPrevention="Disabled",
        workloadSourceSpoofing="Any",
        disableConntrackInvalidCheck=True,
        xdpEnabled=False,
        **dict.fromkeys(
            (
                "chainInsertMode",
                "iptablesFilterAllowAction",
                "iptablesFilterDenyAction",
                "iptablesMangleAllowAction",
                "iptablesMarkMask",
                "nftablesMarkMask",
                "iptablesRefreshInterval",
                "nftablesRefreshInterval",
                "iptablesPostWriteCheckInterval",
                "ipsetsRefreshInterval",
                "maxIpsetSize",
                "failsafeInboundHostPorts",
                "failsafeOutboundHostPorts",
                "logPrefix",
            ),
            _ANY,
        ),
    ),
    **_group("eBPF is not implemented", "the kernel's routing is used", bpfEnabled=False),
    "spec.bpf*": NotObeyed("eBPF is not implemented", "the kernel's routing is used"),
    # Health, metrics, reports, logs
    **_group("health has fixed timeouts", "they apply", healthTimeoutOverrides=_ANY),
    **_group(
        "the metrics are felix-py's own",
        "there are none of this group",
        prometheusGoMetricsEnabled=False,
        prometheusProcessMetricsEnabled=False,
        prometheusWireGuardMetricsEnabled=False,
    ),
    **_group(
        "metrics are served without TLS",
        "anyone who reaches FELIX_HEALTHHOST:FELIX_HEALTHPORT can read them",
        prometheusMetricsCAFile=_ANY,
        prometheusMetricsCertFile=_ANY,
        prometheusMetricsKeyFile=_ANY,
        prometheusMetricsClientAuth=_ANY,
    ),
    **_group(
        "status is not reported into the datastore",
        "`felixctl node status` shows the agent's",
        reportingInterval=("0s", "0"),
        reportingTTL=_ANY,
        endpointReportingEnabled=False,
        endpointReportingDelay=_ANY,
        endpointStatusPathPrefix=_ANY,
    ),
    **_group(
        "usage is never reported",
        "nothing is sent",
        usageReportingEnabled=False,
        usageReportingInitialDelay=_ANY,
        usageReportingInterval=_ANY,
    ),
    **_group(
        "logs go to standard error only",
        "no file is written",
        logSeverityFile=("none", "None"),
        logFilePath=("none", "None"),
    ),
    **_group("logs go to standard error only", "syslog gets nothing", logSeveritySys=("none", "None")),
    # Other
    **_group("there is no separate dataplane process", "none is watched", dataplaneWatchdogTimeout=_ANY),
    **_group("the object's name selects the nodes", "default is for all of them, node.NAME for one", nodeSelector=_ANY),
}

RULES = FieldRules(FIELDS, OTHER_FIELDS, read_names=("default", "node."))
