"""What is done once for a whole cluster on Kubernetes: by one process at a time, under a Lease."""
