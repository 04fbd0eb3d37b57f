"""This process's settings, and what becomes of Felix's."""
