"""What the agent says of itself, and what of it is wrong."""
