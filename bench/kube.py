"""What addresses and pods cost on the Kubernetes API: `python -m bench.kube [ROUNDS]`.

ADD and DEL beside Debian's plugins (`bench.kube_cni`), the requests that each costs (`bench.verb_requests`), addresses
beside bare creates by the same client (`bench.assigns`).

Each has a real API server of its own: what an agent makes in the first would be in the second's way. `make kube-assets`
builds its programs, once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import assigns, kube_cni, verb_requests
from bench.api_server import api_server
from bench.cni import PEERS, be_a_node
from bench.result import report, rounds_of
from tests.kube.assets import AssetsError


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    if not (PEERS / "ptp").exists():
        print("bench kube: Debian's plugins are missing; install containernetworking-plugins", file=sys.stderr)
        return 1
    be_a_node()
    try:
        with api_server() as bed:
            rows, remarks = kube_cni.measure(bed, rounds)
            counted, of_verbs = verb_requests.measure(bed, rounds)
        with api_server() as bed:
            more_rows, more_remarks = assigns.measure(bed, rounds)
    except AssetsError as missing:
        raise SystemExit(f"bench kube: {missing}") from None
    report("kube", [*rows, *counted, *more_rows], rounds, [*remarks, *of_verbs, *more_remarks])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
