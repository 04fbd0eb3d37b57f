"""What a change may concern: folds return it, outputs depend on it.

Pure.
"""

from __future__ import annotations

from enum import Flag, auto


class Topic(Flag):
    """The folds (`Snapshot`, `Host`, tunnels' remote blocks) return topics; each output depends on some."""

    NOTHING = 0
    IN_SYNC = auto()  # the datastore has reported everything there is, for the first time
    PODS = auto()  # pods of this node, or their devices
    BORROWED = auto()  # an address of a pod here that lies in no block of this node came or went
    BLOCKS = auto()  # this node's blocks
    FILTERED = auto()  # the same, where routes of peers that lie in them are refused
    REMOTE_BLOCKS = auto()  # where the addresses of other nodes' pods are
    OWNERS = auto()  # the same, where routes of a peer that is no node are judged by it
    POOLS = auto()
    NODES = auto()  # addresses, annotations and labels of any node
    OWN_NODE = auto()
    BGP = auto()  # BGPPeers and BGPConfigurations
    PASSWORDS = auto()  # Secrets that passwords of sessions are in
    FELIX = auto()  # FelixConfigurations
    MTU = auto()  # what the host's own devices carry
    ADDRESSES = auto()  # those of the host's own devices
    TUNNEL_DEVICES = auto()  # the device of a tunnel, or its address
    NEXT_HOPS = auto()  # the ways by which this host reaches other addresses
    HELD = auto()  # the kernel may have dropped routes of ours without an event
    ROUTES = auto()  # what the RIB wants, or what the kernel holds
    EVERYTHING = (
        IN_SYNC
        | PODS
        | BORROWED
        | BLOCKS
        | FILTERED
        | REMOTE_BLOCKS
        | OWNERS
        | POOLS
        | NODES
        | OWN_NODE
        | BGP
        | PASSWORDS
        | FELIX
        | MTU
        | ADDRESSES
        | TUNNEL_DEVICES
        | NEXT_HOPS
        | HELD
        | ROUTES
    )
    BEFORE_SYNC = NEXT_HOPS | HELD | ROUTES
    """What may be acted on before the datastore has reported everything there is."""
