"""Encapsulations: how packets reach pods of other nodes where the network between does not carry them."""
