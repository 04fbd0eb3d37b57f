"""What `felixctl ipam check` does: look once, which is enough where all is well; else ask the store.

Imports little: an API server is asked first, and begins its answers while the rest is imported.
"""

from __future__ import annotations

from pathlib import Path

from felixctl.host_settings import USUAL_NAMESPACE
from felixctl.ipam.ask_api import ask_api
from felixctl.lean_imports import expect_pydantic, load_msgspec


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
    if output is None:
        asking = ask_api(url, agents_namespace)
        load_msgspec()
        from felixctl.ipam.first_look import looks_sound

        if looks_sound(url, asking, run_dir, agents_namespace, all_addresses=all_addresses):
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
