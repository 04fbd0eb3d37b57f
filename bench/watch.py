"""How soon a commit of one process reaches a watcher in another: `python -m bench.watch [COMMITS]`.

The commits are 250 ms apart, so that each is alone: nothing that comes later can wake the watcher for it. The time is
taken before the write is asked for, so the commit itself is in it; the clock is one for both processes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import datastore
from datastore.kinds.ipam import IPAMHandle
from datastore.store import Changed, InSync

APART_SECONDS = 0.25


async def write(url: str, commits: int) -> None:
    """Create one object after the other; each bears the time at which its write was asked for."""
    store = datastore.open(url)
    for number in range(commits):
        await asyncio.sleep(APART_SECONDS)
        asked = str(time.monotonic_ns())
        await store.create(
            IPAMHandle.make(f"h{number}", annotations={"asked": asked}, handle_id=f"h{number}", block={})
        )
    await store.close()


async def delays(url: str, commits: int) -> list[float]:
    """Return the milliseconds from each request to commit until the watcher has the event."""
    store = datastore.open(url)
    found: list[float] = []
    async for event in store.watch(IPAMHandle):
        match event:
            case InSync():
                writer = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "bench.watch", "--write", url, str(commits)
                )
            case Changed(resource):
                found.append((time.monotonic_ns() - int(resource.annotations["asked"])) / 1e6)
                if len(found) == commits:
                    break
    await writer.wait()
    await store.close()
    return found


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["--write", url, number]:
            asyncio.run(write(url, int(number)))
        case _:
            commits = int(arguments[0]) if arguments else 200
            with TemporaryDirectory(prefix="felix-watch-") as folder:
                found = sorted(asyncio.run(delays(f"sqlite://{Path(folder)}/felix.db", commits)))
            last = found[min(len(found) - 1, round(0.99 * len(found)))]
            print(f"{commits} commits {APART_SECONDS * 1000:.0f} ms apart, from request to event, in ms:")
            print(f"median {median(found):.2f}  p99 {last:.2f}  max {found[-1]:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
