"""Our rules of nftables: which there are to be, and their upkeep."""
