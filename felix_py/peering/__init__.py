"""What this node tells the BGP sidecar."""
