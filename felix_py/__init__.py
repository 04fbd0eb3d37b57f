"""The agent: makes this node match the cluster's records."""
