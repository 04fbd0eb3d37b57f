"""The errors that end a command, and their exit statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

FAILED = 1
MISUSED = 2
LONGEST_SENTENCE = 2100  # characters
MOST_SENTENCES = 200
"""How many sentences of a kind a command prints; whoever wrote the 20,000th mistake reads the first."""


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

    def told(self) -> Iterator[str]:
        """Yield what is printed: a bounded number of sentences, and always the last, which says what became of it."""
        yield from bounded(self.sentences[:-1])
        yield from map(_shortened, self.sentences[-1:])


def bounded(sentences: Sequence[str]) -> Iterator[str]:
    """Yield the first of many sentences, and how many more there are."""
    yield from map(_shortened, sentences[:MOST_SENTENCES])
    if (more := len(sentences) - MOST_SENTENCES) > 0:
        yield f"and {more} more of the kind"


def _shortened(sentence: str) -> str:
    """Return a sentence without the middle of a long value in it: what it is about comes first, and why at its end."""
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[:1000]} … {sentence[-1000:]}"
