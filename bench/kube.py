"""What addresses cost on the Kubernetes API, beside bare creates by the same client: `python -m bench.kube [ROUNDS]`.

The API server is a real one of this run's own; `make kube-assets` builds its programs, once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import assigns
from bench.api_server import api_server
from bench.result import report
from tests.kube.assets import AssetsError

LEAST_ROUNDS = 5


def main(arguments: Sequence[str]) -> int:
    rounds = max(LEAST_ROUNDS, int(arguments[0])) if arguments else LEAST_ROUNDS
    try:
        with api_server() as bed:
            rows, remarks = assigns.measure(bed, rounds)
    except AssetsError as missing:
        raise SystemExit(f"bench kube: {missing}") from None
    report("kube", rows, remarks)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
