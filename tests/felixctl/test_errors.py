"""How much of many mistakes is printed."""

from __future__ import annotations

from felixctl.errors import MOST_SENTENCES, CommandError, RejectedError


def test_few_sentences_are_printed_whole() -> None:
    assert list(CommandError(["a", "b", "nothing was written"]).told()) == ["a", "b", "nothing was written"]
    assert list(CommandError("a").told()) == ["a"]
    assert list(CommandError([]).told()) == []


def test_of_many_sentences_the_first_their_number_and_the_last_are_printed() -> None:
    many = [f"mistake {n}" for n in range(20_000)]
    *first, number, last = CommandError([*many, "nothing was written"]).told()
    assert first == many[:MOST_SENTENCES]
    assert (number, last) == (f"and {20_000 - MOST_SENTENCES} more of the kind", "nothing was written")


def test_a_sentence_is_said_once() -> None:
    assert RejectedError(["a", "b", "a"]).sentences == ("a", "b")


def test_of_a_long_sentence_begin_and_end_are_printed() -> None:
    [printed] = CommandError(f'BGPPeer "p": peerIP {"9" * 100_000} is not an IP address').told()
    assert len(printed) < 2100
    assert (printed[:12], printed[-20:]) == ('BGPPeer "p":', "is not an IP address")
