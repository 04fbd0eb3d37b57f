"""Records that a real Calico wrote, and what its calicoctl printed of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FIXTURES = Path(__file__).parents[1] / "fixtures" / "calico"


def printed(path: str) -> str:
    """Return what calicoctl printed to its standard output."""
    return (FIXTURES / path).read_text().partition("\n--- stderr ---\n")[0]


def records(path: str) -> list[dict[str, Any]]:
    """Return the stored records in a fixture: one, several documents, or a list, whose items may lack their kind."""
    documents = [d for d in yaml.load_all((FIXTURES / path).read_text(), Loader=TextDates) if d]
    return [
        {"kind": d["kind"].removesuffix("List"), "apiVersion": d["apiVersion"], **item}
        for d in documents
        for item in d.get("items", [d])
    ]


class TextDates(yaml.CSafeLoader):
    """Leaves dates as the text they are in JSON. In C: the thousands of lines of a fixture are read in each test."""


TextDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
