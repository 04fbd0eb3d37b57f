"""Pods and addresses that come and go for an hour, beside crashes: what may not grow does not, and nothing is left."""
