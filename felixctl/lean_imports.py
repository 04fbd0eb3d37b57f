"""What commands load, without what that would bring along in vain.

Imports nothing of weight itself: most short commands need neither of these.
"""

from __future__ import annotations

HAD_FROM_TYPING = "typing_extensions"
"""msgspec takes from it what `typing` has since Python 3.11, and asks `typing` where there is none."""


def load_msgspec() -> None:
    """Import msgspec, and hashlib, which stands beside it in what looks at addresses, before anything else does.

    Half of what they take is typing_extensions, which brings inspect along, and OpenSSL.
    """
    from felix_py.startup.left_out import openssls_hashes, without

    with without((HAD_FROM_TYPING, *openssls_hashes())):
        import hashlib  # noqa: F401

        import msgspec  # noqa: F401


def expect_pydantic() -> None:
    """Have pydantic, which is imported next, look for no plugins: that takes as long as a short command."""
    from felix_py.startup.left_out import leave_out_plugins

    leave_out_plugins()
