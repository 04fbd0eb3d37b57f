"""This node's kernel: spoken to by netlink, and asked what becomes of files. Imports none of our other packages."""
