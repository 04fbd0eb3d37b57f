"""When to give up on a program that should have done something long ago, also on a machine with much else to do."""

from __future__ import annotations

PATIENCE_SECONDS = 300
