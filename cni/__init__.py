"""The CNI plugin: what the container runtime runs, and what the agent answers."""
