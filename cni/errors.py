"""CNI's errors: a code for the runtime, a sentence for whoever is on call. Pure."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """CNI's well-known error codes, and from 100 on our own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    UNDECODABLE = 6
    INVALID_CONFIGURATION = 7
    INVALID_NAMESPACE = 8
    TRY_AGAIN = 11
    NOT_SERVING = 50
    LIMITED = 51
    ALREADY_ATTACHED = 100
    NO_ADDRESS = 101
    DIFFERENT = 102
    KERNEL = 103
    UNEXPECTED = 104


class CniError(Exception):
    """A verb failed: a code for the runtime, a sentence for whoever is on call, and details if there are any."""

    def __init__(self, code: Code | int, sentence: str, details: str = "") -> None:
        """code: ours, or that of a plugin which was asked."""
        super().__init__(sentence)
        self.code, self.sentence, self.details = code, sentence, details
