"""DELs that the shim noted on disk while no agent listened, carried out before the agent takes requests.

One file each, as the shim would have sent it; `note` in shim.c writes them. A runtime that takes a pod for gone
may use its container's id again, so none may be left for later than the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from pathlib import Path

from cni.attachment import PodRef, describe
from cni.errors import CniError
from cni.request import CniRequest, parse
from cni.server import RequestHandler
from cni.shim_message import unpack_request

log = logging.getLogger("cni.notes")

FOLDER = "deletes"
"""Within the agent's state folder."""
AT_ONCE = 8
"""Of how many pods notes are carried out at once."""


class Notes:
    """The folder of the notes. It is there as long as an agent is installed: without it the shim notes nothing."""

    def __init__(self, state_dir: Path) -> None:
        """Make the folder. Raises OSError."""
        self._folder = state_dir / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def carry_out(self, verbs: RequestHandler) -> None:
        """Carry all out, those of one pod oldest first; what fails is logged, and tried again at the next start.

        An agent that was away for long finds many, as a kubelet tries each pod again and again: those of some pods are
        carried out side by side, as requests of a runtime are. Raises OSError, after the last: notes
        that were carried out stay.
        """
        of_pods: defaultdict[PodRef, list[tuple[Path, CniRequest]]] = defaultdict(list)
        for _, path in sorted((path.stat().st_mtime_ns, path) for path in self._folder.iterdir()):
            try:
                if (request := _read(path)) is not None:
                    of_pods[request.pod].append((path, request))
                else:
                    path.unlink()
            except OSError as error:
                log.error(
                    "%s: %s; if it is the note of a DEL, what it is about is found by the leak collector", path, error
                )
        waiting, kept = iter(of_pods.values()), list[str]()

        async def carry_out_next_ones() -> None:
            for notes in waiting:
                for path, request in notes:
                    try:
                        await _carry_out(path, request, verbs)
                    except OSError as error:
                        kept.append(str(error))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(carry_out_next_ones())
        if kept:
            raise OSError(f"remove the notes of DELs that were carried out: {'; '.join(kept)}")


async def _carry_out(path: Path, request: CniRequest, verbs: RequestHandler) -> None:
    try:
        await verbs.run(request, None)
    except Exception as error:
        log.error("DEL noted in %s: %s; tried again when the agent starts", path, error)
        return
    log.info("DEL %s: carried out from its note", describe(request.attachment, request.pod))
    path.unlink()


def _read(path: Path) -> CniRequest | None:
    """Return the request of a note; None if there is none, as in a file that its shim could not finish."""
    if path.name.startswith("."):
        return None
    try:
        request = parse(*unpack_request(path.read_bytes()))
    except CniError as error:
        log.error("DEL noted in %s: %s; it is dropped", path, error)
        return None
    if request.verb != "DEL":
        log.error("%s is the note of a %s; it is dropped", path, request.verb)
        return None
    return request
