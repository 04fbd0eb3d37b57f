"""This node's kernel, spoken to by netlink. Imports none of our other packages."""
