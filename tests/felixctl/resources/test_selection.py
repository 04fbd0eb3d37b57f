"""`-l`: kubectl's lists of labels and Calico's selectors."""

from __future__ import annotations

import pytest

from datastore.selector import SelectorError
from felixctl.resources import selection


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("", [1, 2, 3]),
        ("rack=a", [1]),
        ("rack==a", [1]),
        ("rack!=a", [2, 3]),
        ("rack", [1, 2]),
        ("!rack", [3]),
        ("rack,zone!=x", [2]),
        ('rack in {"a", "b"}', [1, 2]),
        ('rack == "a" || !has(rack)', [1, 3]),
    ],
)
def test_labels_choose_as_kubectls_and_as_calicos(text: str, matched: list[int]) -> None:
    labels = {1: {"rack": "a", "zone": "x"}, 2: {"rack": "b"}, 3: dict[str, str]()}
    assert [number for number, own in labels.items() if selection.chosen(text).matches(own)] == matched


def test_a_malformed_selector_is_refused() -> None:
    with pytest.raises(SelectorError):
        selection.chosen("rack=a,,")
