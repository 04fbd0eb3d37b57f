"""Hardware addresses of devices.

Pure.
"""

from __future__ import annotations

import re

_OF_DEVICE = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}\Z", re.IGNORECASE)  # an odd first octet is multicast


def is_device_mac(text: str) -> bool:
    """Return whether a device can have this address as its own: `02:00:00:00:00:01`."""
    return bool(_OF_DEVICE.match(text))
