"""DELs that the shim noted on disk while no agent listened, taken up before the agent takes requests.

One file each, as the shim would have sent it; `note` in shim.c writes them. A runtime that takes a pod for gone may use
its container's id again, so none may be left for later than the start: what the datastore is to be told is in the
journal then, which an ADD of that container carries out first.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from cni.attachment import describe
from cni.errors import CniError
from cni.request import CniRequest, parse
from cni.shim_message import unpack_request

log = logging.getLogger("cni.notes")

FOLDER = "deletes"
"""Within the agent's state folder."""


class NotedDelHandler(Protocol):
    """Takes noted DELs up: cni.verbs.Verbs."""

    async def take_up(self, request: CniRequest) -> None: ...


class Notes:
    """The folder of the notes. It is there as long as an agent is installed: without it the shim notes nothing."""

    def __init__(self, state_dir: Path) -> None:
        """Make the folder. Raises OSError."""
        self._folder = state_dir / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def take_up(self, verbs: NotedDelHandler) -> None:
        """Take all up, oldest first; what fails is logged, and tried again at the next start.

        An agent that was away for long finds many, as a kubelet tries each pod again and again, and pods that are to be
        attached wait meanwhile: so nothing is asked of the datastore. Raises OSError, after the last: notes that were
        taken up stay, and would be once more, when their containers' ids may be in use again.
        """
        kept = []
        for _, path in sorted((path.lstat().st_mtime_ns, path) for path in self._folder.iterdir()):
            try:
                request = _read(path)
                if request is None:
                    path.unlink()
            except OSError as error:
                log.error(
                    "%s: %s; if it is the note of a DEL, what it is about is found by the leak collector", path, error
                )
                continue
            if request is not None and await _taken_up(path, request, verbs):
                try:
                    path.unlink()
                except OSError as error:
                    kept.append(str(error))
        if kept:
            raise OSError(f"remove the notes of DELs that were taken up: {'; '.join(kept)}")


async def _taken_up(path: Path, request: CniRequest, verbs: NotedDelHandler) -> bool:
    try:
        await verbs.take_up(request)
    except Exception as error:
        log.error("DEL noted in %s: %s; tried again when the agent starts", path, error)
        return False
    log.info("DEL %s: taken up from its note", describe(request.attachment, request.pod))
    return True


def _read(path: Path) -> CniRequest | None:
    """Return the request of a note; None if there is none, as in a file that its shim could not finish.

    Raises OSError: it cannot be read.
    """
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
