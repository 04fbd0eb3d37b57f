"""The agent: makes this node match what the cluster says."""
