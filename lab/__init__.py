"""A whole cluster on one machine, inside one private set of namespaces."""
