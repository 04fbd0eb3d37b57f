"""What `felixctl ipam check` does: look at a file once, which is enough where all is well in it; else ask the store."""

from __future__ import annotations

from pathlib import Path

from felixctl.datastore_choice import existing_file
from felixctl.host_settings import USUAL_NAMESPACE
from felixctl.ipam.check_report import report
from felixctl.ipam.lost_devices import with_lost_devices
from felixctl.ipam.problems import problems
from felixctl.ipam.read_file import read_file
from felixctl.lean_imports import expect_pydantic
from felixctl.terminal import show


def checks_out(
    url: str,
    run_dir: Path,
    *,
    agents_namespace: str = USUAL_NAMESPACE,
    all_addresses: bool = False,
    output: Path | None = None,
    fix: bool = False,
    ask: bool = True,
) -> bool:
    """Print what is wrong, and return whether nothing is, or nothing any more. Raises CommandError.

    run_dir: where this machine's agent has its sockets, if there is one. output: where to write a report for `ipam
    release`. fix: repair what is safe, and ask before.
    """
    if output is None and (text := _of_sound_file(url, run_dir, all_addresses)):
        show(text)
        return True
    expect_pydantic()
    from felixctl.ipam.store_check import store_checks_out  # imported late: event loop and pydantic come with it

    return store_checks_out(
        url,
        run_dir,
        agents_namespace=agents_namespace,
        all_addresses=all_addresses,
        output=output,
        fix=fix,
        ask=ask,
    )


def _of_sound_file(url: str, run_dir: Path, all_addresses: bool) -> str | None:
    """Return what is printed of a file in which all is well at first sight; None: the store is to be asked."""
    path = existing_file(url)
    records = read_file(path) if path else None
    if records is None:
        return None
    records = with_lost_devices(records, run_dir)
    found = problems(records)
    return None if found.count else report(records, found, all_addresses=all_addresses)
