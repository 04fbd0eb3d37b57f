"""This machine's devices and addresses."""
