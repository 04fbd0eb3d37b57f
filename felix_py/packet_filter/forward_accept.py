"""Which rules let packets of pods pass a host whose iptables drop what nobody accepts, as Docker and ufw leave them.

Pure. As Calico's, they stand at the end of the chain FORWARD: what an administrator's rule drops stays dropped, and
what only the chain's policy would drop passes. They come when the policy begins to drop, and go when it ends.

Other chains that drop, such as firewalld's, are named to the operator and left alone. So are those of iptables-legacy:
the kernel takes such a table as a whole only, without an event when another writes it, under a lock that is a file of
the host's, and from holders of CAP_NET_RAW. Its own program in the image would bring all that into the agent.
"""

from __future__ import annotations

from kernel.nftables_foreign_chain import MARK, ForeignChain
from kernel.nftables_steps import accept, comes_by, count, leaves_by
from kernel.nftables_table import Program

_IPV4, _IPV6 = 2, 10

CHAINS = (ForeignChain(_IPV4, "filter", "FORWARD"), ForeignChain(_IPV6, "filter", "FORWARD"))
"""The chains of iptables and ip6tables that see what a host forwards."""

TITLE = "what iptables' chain FORWARD does with packets of pods"
WITHOUT = "a host whose iptables drop what they do not accept does not forward the packets of pods"


def accepting(*prefixes: str) -> tuple[Program, ...]:
    """Return the rules that accept what comes from pods and what goes to them. prefixes: of their devices' names."""
    return tuple(
        Program((*passes_by(f"{prefix}*"), *count(), *accept()), f"{MARK}accept packets {way} pods")
        for prefix in prefixes
        for passes_by, way in ((comes_by, "from"), (leaves_by, "to"))
    )
