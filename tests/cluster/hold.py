"""`python -m tests.cluster.hold FOLDER NODES PROXYMODE`: hold a cluster with felix-py until told to end.

Standard output gets JSON lines: progress, then the report or a failure. Of one FOLDER there is one cluster:
its lock, FOLDER.lock, names the process and is held as long as that lives.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from felix_py.status.status_json import to_json
from lab.progress import emit, emit_progress
from tests.cluster.demo import run_demo
from tests.cluster.installation import felix_cluster


class IsUp(Exception):
    """There is a cluster already."""


def lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises IsUp: another process has it."""
    path = lock_of(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise IsUp(f"a cluster is up in {folder} (process {lock.read()}); `make kube-down` ends it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def main(folder: Path, nodes: int, proxy_mode: str) -> int:
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    try:
        with alone(folder):
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed, or whose machine was
            with felix_cluster(folder, nodes, proxy_mode, emit_progress) as made:
                emit({"report": to_json(run_demo(made, began))})
                while True:
                    signal.pause()
    except IsUp as error:
        emit({"failed": str(error)})
    except Exception as error:
        # Whatever it is, the cluster has ended with it.
        emit({"failed": f"{type(error).__name__}: {error}"})
    return 1


def _end(number: int, _: object) -> None:
    """End in order, whatever is being done; a second signal does not disturb that."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
