"""The log of a containerd is read as it is written."""

from __future__ import annotations

from tests.cluster.attempts import attempts, pauses


def line(second: float, pod: str, more: str = "") -> str:
    message = rf"RunPodSandbox for name:\"{pod}\"  uid:\"86fd\"  namespace:\"default\"{more}"
    return f'time="2026-11-30T01:24:{second:012.9f}Z" level=info msg="{message}'


LOG = "\n".join(
    (
        line(51.541226906, "web-1", '"'),
        line(51.741226906, "web-2", '"'),
        line(52.041226906, "web-1", r' failed, error" error="plugin type=\"felix\" failed (add)"'),
        line(52.741226906, "web-2", r' returns sandbox id \"6bf1\""'),
        line(53.291226906, "web-1", '"'),
        line(53.391226906, "web-1", r' returns sandbox id \"6bf2\""'),
    )
)


def test_each_answer_is_one_attempt() -> None:
    found = list(attempts(LOG))
    assert [(one.pod, one.seconds, bool(one.refusal)) for one in found] == [
        ("web-1", 0.5, True),
        ("web-2", 1.0, False),
        ("web-1", 0.1, False),
    ]
    assert 'plugin type=\\"felix\\"' in found[0].refusal


def test_a_pause_is_between_a_refusal_and_the_next_question() -> None:
    assert pauses(list(attempts(LOG))) == pauses(list(attempts(LOG)), "failed (add)") == [1.25]
    assert pauses(list(attempts(LOG)), "no space left") == []
