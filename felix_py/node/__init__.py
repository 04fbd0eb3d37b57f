"""This node's Node: who holds it, and what is said of it there."""
