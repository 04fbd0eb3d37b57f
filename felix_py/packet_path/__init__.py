"""What this node's kernel does with pods' packets, and what of the host is in their way."""
