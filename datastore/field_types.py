"""The types of strings with a meaning in records: pydantic checks them, and keeps what was written.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BeforeValidator, Strict, WithJsonSchema

from datastore import selector
from datastore.fields import address, as_number, community, network, network_or_address, peer_address, seconds

T = TypeVar("T")
Items: TypeAlias = Annotated[tuple[T, ...], Strict(False)]
"""A list outside, a tuple inside. Only the list itself is taken leniently, its items are not."""


def _read_by(reading: Callable[[T], object]) -> Callable[[T], T]:
    """Return a validator that rejects what `reading` rejects, and keeps the value as it was written."""

    def check(written: T) -> T:
        reading(written)
        return written

    return check


def _no_null(mapping: object) -> object:
    return {} if mapping is None else mapping


def one_of(values: Iterable[str]) -> WithJsonSchema:
    """Have a definition name these values of a text. A record may have another, as of a later version of Calico."""
    return WithJsonSchema({"type": "string", "enum": [*values]})


def in_range(least: int, most: int) -> WithJsonSchema:
    """Have a definition name the range of a number. A record may have another number."""
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})


Cidr: TypeAlias = Annotated[str, AfterValidator(_read_by(network))]
CidrOrAddress: TypeAlias = Annotated[str, AfterValidator(_read_by(network_or_address))]
AddressText: TypeAlias = Annotated[str, AfterValidator(_read_by(address))]
PeerText: TypeAlias = Annotated[str, AfterValidator(_read_by(peer_address))]
AsNumber: TypeAlias = Annotated[int | str, BeforeValidator(_read_by(as_number))]
Community: TypeAlias = Annotated[str, AfterValidator(_read_by(community))]
Duration: TypeAlias = Annotated[str, AfterValidator(_read_by(seconds))]
SelectorText: TypeAlias = Annotated[str, AfterValidator(_read_by(selector.parse))]
StringMap: TypeAlias = Annotated[dict[str, str], BeforeValidator(_no_null)]
"""Labels and the like: `null` outside is none."""
