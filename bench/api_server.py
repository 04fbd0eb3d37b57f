"""An API server of a bench's own: etcd and kube-apiserver on loopback with Calico's definitions, gone when it ends.

Its programs are those of the tests: `make kube-assets` builds them, once.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processor_time import spent_ms
from datastore.kube.client import ApiClient
from tests.kube.bed import Bed
from tests.kube.control_plane import running

_ANSWERED = re.compile(r'^apiserver_request_total\{.*resource="(\w+)".*verb="(\w+)".*\} (\S+)$', re.MULTILINE)


@contextmanager
def api_server() -> Iterator[Bed]:
    """Run one without nodes or pods. Raises AssetsError: its programs are not built yet."""
    with TemporaryDirectory(prefix="felix-bench-") as folder, running(Path(folder)) as control_plane:
        bed = Bed(control_plane)
        asyncio.run(bed.install_definitions())
        yield bed


async def requests(bed: Bed) -> Counter[str]:
    """Return how many requests it has answered, by verb and kind: `POST ipamhandles`. Watches count when they end."""
    client = ApiClient(bed.access)
    try:
        text = (await client.request("read metrics", "GET", "/metrics")).body.decode()
    finally:
        await client.close()
    found: Counter[str] = Counter()
    for kind, verb, count in _ANSWERED.findall(text):
        found[f"{verb} {kind}"] += int(float(count))
    return found


def servers_ms(bed: Bed) -> float:
    """Return the processor time that API server and etcd took so far, in milliseconds."""
    return sum(spent_ms(program.pid) for program in (bed.control_plane.api_server, bed.control_plane.etcd))
