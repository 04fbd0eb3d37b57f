"""What holds for a cluster where nothing else is configured.

Pure.
"""

from __future__ import annotations

DEFAULT_AS_NUMBER = 64512
"""The AS of the cluster's nodes, as in Calico."""

DEFAULT_URL = "sqlite:///var/lib/felix/cluster.db"
"""Where the datastore is."""

CONTROLLER_LEASE = "felix-py-controller"
"""The Lease of the controller that acts, in the namespace of the agents."""

DEFAULT_NAMESPACE = "default"
"""Where an object is whose namespace nobody says."""
