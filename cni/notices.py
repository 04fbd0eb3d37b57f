"""Which members of a network's configuration and which annotations of pods and Namespaces are not obeyed.

Pure. A pod's annotations are reported as far as the runtime passes them on.
"""

from __future__ import annotations

from cni.host_local import HOST_LOCAL, delegates
from cni.network_config import ANNOTATIONS as POD_ANNOTATIONS
from cni.network_config import NetworkConfig
from cni.request import CniRequest
from cni.wishes import PREFIX, WITHOUT_IPAM
from datastore.field_rules import OBEYED, UNKNOWN, FieldRules, NotObeyed, notice_of
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import OWN_PREFIX
from datastore.notices import Notice

_BY_AGENT = NotObeyed("the plugin only forwards requests to the node's agent", "the agent's settings apply")
_BY_PLUGIN = NotObeyed(f"ipam.type {HOST_LOCAL} gives what its ranges say", "they apply")
_LOGS = NotObeyed("the agent writes the log", "its settings apply")

NETWORK = FieldRules(
    {
        "name": OBEYED,
        "type": OBEYED,
        "mtu": OBEYED,
        "ipam": OBEYED,
        "ipam.type": OBEYED,
        "ipam.assign_ipv4": OBEYED,
        "ipam.assign_ipv6": OBEYED,
        "ipam.ipv4_pools": OBEYED,
        "ipam.ipv6_pools": OBEYED,
        "container_settings": OBEYED,
        "container_settings.allow_ip_forwarding": OBEYED,
        "feature_control": OBEYED,
        "feature_control.ip_addrs_no_ipam": OBEYED,
        "args": OBEYED,
        "runtimeConfig": OBEYED,
        "prevResult": OBEYED,
    },
    other_fields={
        "cniVersion": OBEYED,
        "cni.dev/*": OBEYED,
        "capabilities": OBEYED,
        "felix_socket": OBEYED,
        "felix_state_dir": OBEYED,
        "ipam.subnet": NotObeyed("addresses come from IPPools, unless ipam.type is host-local", "the pools apply"),
        "num_queues": NotObeyed("a pod's device has one queue each way", "it has one", unless=(1,)),
        "policy": NotObeyed("policies are not enforced", "no packet is filtered"),
        "include_default_routes": NotObeyed("a pod always has a default route", "it has one", unless=(True,)),
        "feature_control.floating_ips": NotObeyed(
            "floating IPs are not implemented", "no packet reaches a pod by one", unless=(False, "false")
        ),
        "device_type": NotObeyed("a pod's device is a veth", "it gets one", unless=("veth",)),
        "readiness_gates": NotObeyed("STATUS and ADD report whether the agent is ready", "no other URL is asked"),
        "require_mtu_file": NotObeyed("the MTU comes from the agent", "no file is required", unless=(False,)),
        **dict.fromkeys(
            (
                "nodename",
                "hostname",
                "nodename_file",
                "nodename_file_optional",
                "datastore_type",
                "kubernetes",
                "calico_api_group",
                "ipam_lock_file",
                "policy_setup_timeout_seconds",
                "endpoint_status_dir",
                "qps",
                "burst",
            ),
            _BY_AGENT,
        ),
        "log_*": _LOGS,
    },
)

DELEGATED = FieldRules(
    {
        **NETWORK.fields,
        **dict.fromkeys(("ipam.assign_ipv4", "ipam.assign_ipv6", "ipam.ipv4_pools", "ipam.ipv6_pools"), _BY_PLUGIN),
    },
    other_fields={
        **NETWORK.other_fields,
        **dict.fromkeys(("ipam.subnet", "ipam.ranges", "ipam.dataDir"), OBEYED),
        "ipam.routes": NotObeyed("a pod always has a default route", "it has one, and no other"),
        "ipam.resolvConf": NotObeyed("the runtime writes the pod's resolv.conf", "what it holds is not passed on"),
        "ipam.*": OBEYED,
    },
)
"""Where `host-local` gives the addresses, which reads the rest of `ipam`."""

READ_CAPABILITIES = {"ips", "mac", POD_ANNOTATIONS}
CAPABILITY = NotObeyed("this plugin has no such capability", "what it asks for is not done, but by another plugin")

ANNOTATIONS: dict[str, NotObeyed] = {
    "floatingIPs": NotObeyed("floating IPs are not implemented", "the pod's ADD is refused with code 7"),
    "allowedSourcePrefixes": NotObeyed("source addresses of pods are not checked", "the pod may send from any address"),
}
SHAPING_PREFIX = "qos.projectcalico.org/"
SHAPING = NotObeyed("traffic is not shaped", "the pod sends and receives at full speed")

KNOWN_ANNOTATIONS = {
    *("ipAddrs", WITHOUT_IPAM, "ipv4pools", "ipv6pools", "ipFamilies", "hwAddr"),
    *("podIP", "podIPs", "containerID"),  # which Calico writes
}


_OF_POOLS = {"ipv4pools", "ipv6pools", "ipFamilies"}
_OF_NAMESPACES = {"ipv4pools", "ipv6pools"}
_OF_PODS = NotObeyed("it is read from pods only", "no pod of the Namespace gets what it asks for")


def network_notices(network: NetworkConfig) -> tuple[Notice, ...]:
    """Return what a network's configuration sets and what is not obeyed."""
    rules = DELEGATED if network.ipam.type == HOST_LOCAL else NETWORK
    others = (name for name, asked in network.runtime_config.items() if asked and name not in READ_CAPABILITIES)
    capabilities = ((f"runtimeConfig.{name}", CAPABILITY) for name in others)
    return tuple(
        Notice("Network", network.name, path, rule.reason, rule.effect)
        for path, rule in (*rules.not_obeyed(network), *capabilities)
    )


def pod_notices(request: CniRequest) -> tuple[Notice, ...]:
    """Return which of Calico's annotations of a pod are not obeyed."""
    present = [key for key, text in request.annotations.items() if text]
    if not present:
        return ()
    written = (key.removeprefix(PREFIX) for key in present if key.startswith(PREFIX))
    known = KNOWN_ANNOTATIONS - (_OF_POOLS if delegates(request) else set())
    rules = {**ANNOTATIONS, **dict.fromkeys(_OF_POOLS, _BY_PLUGIN)}
    unread = [(f"{PREFIX}{name}", rules.get(name, UNKNOWN)) for name in written if name not in known]
    shaping = [(key, SHAPING) for key in present if key.startswith(SHAPING_PREFIX)]
    return tuple(
        Notice("Pod", f"{request.pod.namespace}/{request.pod.name}", key, rule.reason, rule.effect)
        for key, rule in (*unread, *shaping)
    )


def namespace_notices(namespace: Namespace) -> tuple[Notice, ...]:
    """Return which of Calico's annotations of a Namespace are not obeyed. In our name it has none."""
    present = [key for key, text in namespace.metadata.annotations.items() if text]
    names = (key.removeprefix(PREFIX) for key in present if key.startswith(PREFIX))
    of_pods = KNOWN_ANNOTATIONS | ANNOTATIONS.keys()
    calicos = (
        notice_of(namespace, f"{PREFIX}{name}", _OF_PODS if name in of_pods else UNKNOWN)
        for name in names
        if name not in _OF_NAMESPACES
    )
    return (*calicos, *(notice_of(namespace, key, UNKNOWN) for key in present if key.startswith(OWN_PREFIX)))
