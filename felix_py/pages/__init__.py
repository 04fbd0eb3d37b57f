"""What the agent serves over HTTP, and to whom."""
