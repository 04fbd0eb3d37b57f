"""Our annotations of a BGPPeer, or of BGPConfiguration `default`, by name: what a peer may send.

Pure, and without a single import of ours: whoever prints one of the names needs no more. `bgp.peer_annotations` reads
their values.
"""

from __future__ import annotations

PREFIX = "felix-py/"
PREFIX_LIMIT = f"{PREFIX}prefix-limit"
"""How many prefixes a peer may send."""
ACCEPT_DEFAULT_ROUTE = f"{PREFIX}accept-default-route"
ACCEPT_INSIDE_SUBNET = f"{PREFIX}accept-inside-node-subnet"
