"""Addresses and their records: who has which, whether they agree, and repairs."""
