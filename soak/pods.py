"""`python -m soak.pods FOLDER`: pods come and go on the node that has its files there, one call after the other.

What the plugin says to try again later is tried again, as a kubelet does, and an ADD that failed is followed by a DEL.
When standard input ends all pods are deleted, and a line of JSON says how many calls succeeded. Any other answer ends
it at once, and is told there; so does the end of what has started it.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

from bench.cni import Plugin, PodNetns, call, files, shim
from kernel.netns import new_network_namespace
from lab.namespaces import die_with_parent
from lab.runtime import TRY_AGAIN

MOST_PODS = 8
PAUSE_SECONDS = 0.05


class CallRefused(Exception):
    """The plugin answered something else than to try again later."""


class Runtime:
    """The pods of one process. succeeded: its calls."""

    def __init__(self, plugin: Plugin, configuration: int, out: int) -> None:
        self._plugin, self._configuration, self._out = plugin, configuration, out
        self._pods: list[PodNetns] = []
        self.succeeded = 0

    def step(self) -> None:
        """Add a pod, and delete the oldest when there are many."""
        pod = PodNetns(os.urandom(32).hex(), new_network_namespace())
        self._pods.append(pod)
        while not self.called("ADD", pod):
            self._until_called("DEL", pod)
        if len(self._pods) > MOST_PODS:
            self._delete_oldest()

    def delete_all(self) -> None:
        while self._pods:
            self._delete_oldest()

    def _delete_oldest(self) -> None:
        pod = self._pods.pop(0)
        self._until_called("DEL", pod)
        os.close(pod.netns)

    def _until_called(self, verb: str, pod: PodNetns) -> None:
        while not self.called(verb, pod):
            time.sleep(PAUSE_SECONDS)

    def called(self, verb: str, pod: PodNetns) -> bool:
        """Call the plugin; return whether it succeeded, else it is to be tried again. Raises CallRefused."""
        os.ftruncate(self._out, 0)
        os.lseek(self._out, 0, os.SEEK_SET)
        _, status = os.waitpid(call(self._plugin, verb, pod, self._configuration, self._out), 0)
        if not status:
            self.succeeded += 1
            return True
        answer = json.loads(os.pread(self._out, 1 << 16, 0) or b"{}")
        if answer.get("code") != TRY_AGAIN:
            raise CallRefused(f"{verb}: {answer.get('msg', f'ended with status {status}')}")
        return False


def main(folder: Path) -> None:
    plugin = shim(folder, agent=0)
    with files(plugin) as (configuration, out):
        runtime = Runtime(plugin, configuration, out)
        refused = ""
        try:
            while not select.select([sys.stdin], [], [], 0)[0]:
                runtime.step()
            runtime.delete_all()
        except CallRefused as refusal:
            refused = str(refusal)
    print(json.dumps({"succeeded": runtime.succeeded, "refused": refused}))


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
