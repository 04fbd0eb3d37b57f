"""Whole clusters, broken on purpose: what must be seen from outside."""
