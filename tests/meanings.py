"""What each setting of the agent is for: a sentence for docs/settings.md and for the ConfigMap of an installation."""

from __future__ import annotations

from collections.abc import Mapping

_POOL = {
    "CIDR": "The network of the first pool.",
    "BLOCK_SIZE": "How long the prefix of its blocks is: a node claims so many addresses at once.",
    "IPIP": "Which packets between nodes are wrapped in IPIP: none, all, or those that leave the node's subnet.",
    "VXLAN": "Accepted for Calico's sake; such a pool is routed without encapsulation, and says so.",
    "NAT_OUTGOING": "Whether what its pods send out of all pools leaves under the node's address.",
    "NODE_SELECTOR": "Which nodes' pods get addresses of it, by the labels of the Node.",
    "DISABLE_BGP_EXPORT": "Whether its blocks are kept from peers.",
}

MEANINGS: Mapping[str, str] = {
    "NODENAME": "The name of this node's Node.",
    "HOSTNAME": "The name of the host, which is the node's where NODENAME is unset and none was noted before.",
    "NAMESPACE": "Where agents and controller run, and the Secrets of BGP passwords and the controller's Lease are.",
    "CALICO_NODENAME_FILE": "Where the agent notes the node's name.",
    "FELIX_MTUFILE": "Where the agent notes the MTU of pods.",
    "FELIX_DATASTORE": "Where the records of the cluster are.",
    "FELIX_RUN_DIR": "The folder of the sockets of agent, sidecar and plugin.",
    "FELIX_STATE_DIR": "The folder of what outlives a restart: releases not yet written, what the cluster held.",
    "FELIX_CNICONFDIR": "Where the container runtime looks for networks; unset, the agent installs none.",
    "FELIX_CNIBINDIR": "Where the container runtime looks for plugins.",
    "FELIX_PROCSYS": "Where the agent writes sysctls, in a folder `net`: a container cannot in /proc/sys.",
    "FELIX_CNINETWORKCONFIG": "A file with the network to install, in place of the one that the agent makes.",
    "IP": "The node's IPv4 address: this one; found anew at each start; or unset: what the Node has, else found.",
    "IP6": "The node's IPv6 address, as IP; pods get IPv6 addresses only where it has one.",
    "IP_AUTODETECTION_METHOD": "How the IPv4 address is found.",
    "IP6_AUTODETECTION_METHOD": "How the IPv6 address is found.",
    "DISABLE_NODE_IP_CHECK": "Whether a start may go on with an address that another Node has.",
    "AS": "The node's AS number, where it is not the cluster's (BGPConfiguration, 64512).",
    "CALICO_ROUTER_ID": "The node's BGP identifier where it is not its IPv4 address; hash: made from its name.",
    "USE_POD_CIDR": "Whether kubelet's ranges (podCIDRs of the Node) take the place of pools.",
    "CLUSTER_TYPE": "What is added to clusterType of ClusterInformation.",
    "NO_DEFAULT_POOLS": "Whether a first start without pools leaves it at that.",
    "FELIX_PROTOCOL": "The routing protocol number that marks our routes to pods, blocks and tunnels.",
    "FELIX_LEARNEDPROTOCOL": "The one that marks routes learned from peers.",
    "FELIX_METRIC": "The metric of all our routes, which no other program's may have.",
    "FELIX_INTERFACEPREFIX": "How the names of pods' devices begin, and no others here. Pods that run keep theirs.",
    "FELIX_MTU": "The MTU of pods.",
    "FELIX_IPINIPMTU": "The MTU of the IPIP device.",
    "FELIX_NATOUTGOINGADDRESS": "The address under which pods of pools with natOutgoing reach the outside.",
    "FELIX_NATPORTRANGE": "The ports from which they do.",
    "FELIX_NATOUTGOINGEXCLUSIONS": "What they reach under their own addresses: pools alone, or nodes too.",
    "FELIX_IPTABLESNATOUTGOINGINTERFACEFILTER": "The only devices by which they leave under the node's address.",
    "FELIX_EXTERNALNODESCIDRLIST": "Hosts beside the nodes that may send packets through the tunnel.",
    "FELIX_FORWARDACCEPT": "Whether packets of pods are accepted where the policy of iptables' chain FORWARD drops.",
    "FELIX_REPAIR": "Whether what other programs change in our routes and rules is put right. What is written as the"
    " cluster or the host changes is written either way.",
    "FELIX_HEALTHHOST": "Where probes and Prometheus find the agent: /healthz, /readyz, /metrics.",
    "FELIX_HEALTHPORT": "The port of these pages.",
    "FELIX_STATUSPORT": "Where the agent shows its status to felixctl on other machines, on the node's addresses.",
    "FELIX_STATUSMODE": "Who on this host may ask the agent's socket for its status.",
    "FELIX_ROUTEREFRESHINTERVAL": "How often all routes are read, in case an event was lost.",
    "FELIX_CHECKINTERVAL": (
        "How often the agent checks what must hold at all times: of its routes those that something happened to since"
        " the last check, and all of them each five minutes. Between these it looks at nothing while nothing changes."
    ),
    "FELIX_LEAKGRACEPERIOD": "After how long an address that no pod has is given back: controller, or agent on SQLite.",
    "FELIX_LOSSHOLDPERIOD": "For how long nothing is given back while most nodes or pods look gone (controller).",
    "FELIX_CONTROLLERHOST": "Where probes and Prometheus find the controller: /healthz, /readyz, /metrics.",
    "FELIX_CONTROLLERPORT": "The port of these pages.",
    "FELIX_LOGSEVERITYSCREEN": "What is logged, on standard error.",
    "FELIX_BGPCOMPAREDECODERS": (
        "Whether ExaBGP decodes each UPDATE of a peer as well, and the sidecar reports what it reads differently: a"
        " search for faults, which costs several times the processor time of an UPDATE."
    ),
    **{f"CALICO_IPV4POOL_{name}": meaning for name, meaning in _POOL.items()},
    **{f"CALICO_IPV6POOL_{name}": meaning for name, meaning in _POOL.items() if name != "IPIP"},
}
