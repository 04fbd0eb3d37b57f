"""From settings to an identity: what happens before the agent's loop."""
