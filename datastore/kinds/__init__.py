"""The kinds of resource, one file a group. Pure."""
