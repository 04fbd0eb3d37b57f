"""Records with what is known on this machine alone: which endpoints have lost their device. An edge."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from felixctl.host_settings import STATUS_SOCKET
from felixctl.ipam.records import IpamRecords


def with_lost_devices(records: IpamRecords, run_dir: Path) -> IpamRecords:
    """Return the records, and in them what this machine's agent and kernel say, if there is an agent."""
    if not (run_dir / STATUS_SOCKET).exists():
        return records
    from felixctl.ipam.local_agent import without_device  # imported late: it takes as long as a hundred endpoints

    lost = without_device(records.endpoints, run_dir)
    return replace(records, without_device=lost) if lost else records
