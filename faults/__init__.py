"""A cluster on this machine under faults, one after the other: what each costs, and when all is in sync again."""
