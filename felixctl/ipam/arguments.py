"""What the `ipam` commands read from their options."""

from __future__ import annotations

from datastore import fields
from datastore.fields import Address
from felixctl.errors import MISUSED, CommandError


def address_option(text: str, command: str) -> Address:
    """Return the address that --ip names. Raises CommandError."""
    try:
        return fields.address(text)
    except ValueError as error:
        raise CommandError(f"{command} --ip: {error}", MISUSED) from None
