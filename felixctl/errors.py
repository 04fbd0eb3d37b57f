"""The errors that end a command, and their exit statuses."""

from __future__ import annotations

from collections.abc import Iterable

FAILED = 1
MISUSED = 2


class RejectedError(Exception):
    """What was written cannot be carried out; a sentence for each mistake."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(dict.fromkeys(sentences))
        super().__init__("; ".join(self.sentences))


class CommandError(Exception):
    """Why the command failed, in one or more sentences for its user, and the status to end with."""

    def __init__(self, sentences: str | Iterable[str], status: int = FAILED) -> None:
        self.sentences = (sentences,) if isinstance(sentences, str) else tuple(sentences)
        self.status = status
        super().__init__("; ".join(self.sentences))
