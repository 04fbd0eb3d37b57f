"""What the benchmarks are to reach: a ratio to the peer of the same run, or a figure of ours.

Data alone. Most are ratios, as elapsed times depend on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row of a bench must reach: a ratio of least_ratio, or a figure of ours of at most most, in its unit.

    counted_by: the test that finds it, instead of a benchmark. A count needs no second round, and a test that measures
    writes no report of fewer than make a figure.
    """

    bench: str
    row: str
    least_ratio: float | None = None
    most: float | None = None
    counted_by: str = ""

    def __str__(self) -> str:
        return f"ratio at least {self.least_ratio:.2f}" if self.least_ratio else f"at most {self.most:g}"


def at_least(bench: str, row: str, ratio: float) -> Goal:
    return Goal(bench, row, least_ratio=ratio)


def at_most(bench: str, row: str, figure: float) -> Goal:
    return Goal(bench, row, most=figure)


def counted(row: str, most: int) -> Goal:
    return Goal("scale", row, most=most, counted_by="tests/kube/test_scale.py")


GOALS = (
    at_least("fib", "put 100,000 IPv4 routes", 1.8),
    at_least("fib", "put 100,000 IPv6 routes", 1.8),
    at_least("fib", "put 100,000 IPv4 routes, beside the same messages sent bare", 0.95),
    at_least("fib", "put 100,000 IPv6 routes, beside the same messages sent bare", 0.95),
    at_least("fib", "remove 100,000 IPv4 routes", 1.0),
    at_least("fib", "remove 100,000 IPv6 routes", 1.0),
    at_least("cni", "CNI ADD alone", 4.5),
    at_least("cni", "CNI ADDs/s, 10 at once", 4.0),
    at_least("cni", "CNI ADDs/s, 50 at once", 8.0),
    at_least("cni", "CNI DEL alone", 18.0),
    at_least("cni", "CNI DELs/s, 10 at once", 6.0),
    at_most("cni", "CNI VERSION", 0.2),
    at_least("growth", "DEL with 10,000 learned routes", 1 / 1.2),
    at_least("growth", "DEL with 100,000 learned routes", 1 / 1.2),
    at_least("growth", "ADD of the 250th pod", 1 / 1.1),
    at_most("growth", "block writes for 10 ADDs at once", 2),
    at_most("growth", "block writes for 50 ADDs at once", 3),
    at_least("growth", "ADD while 10,000 routes arrive, p99", 1 / 3),
    at_least("mesh", "100 sessions up that we dial", 1 / 0.35),
    at_least("mesh", "300 sessions up that we dial", 1 / 0.5),
    at_least("mesh", "100 sessions up that they dial", 1 / 0.35),
    at_least("mesh", "300 sessions up that they dial", 1 / 0.5),
    at_least("mesh", "10 peers × 10,000 routes into the FIB", 1 / 0.9),
    at_least("mesh", "100 peers × 100 single updates into the FIB", 1 / 1.3),
    at_least("mesh", "100 peers × 100 single updates into the FIB, one more peer dead", 1 / 1.3),
    at_least("mesh", "100 peers × 100 single updates into the FIB, one more peer dead, beside none dead", 1 / 1.1),
    at_least("mesh", "CPU at rest with 300 peers", 1.0),
    at_most("mesh", "new block in the FIB of the last of 20 nodes, p99", 20),
    at_most("memory", "CPU of the agent at rest, 10,000 routes and 250 pods", 0.05),
    at_most("memory", "memory of all three, 10,000 routes and 250 pods", 60),
    at_least("memory", "memory of the agent, 12,800 pods on other nodes", 1 / 1.05),
    at_least("memory", "CPU of the agent at rest, 12,800 pods on other nodes", 1 / 1.1),
    at_most("repair", "deleted route put right, p99", 2),
    at_most("repair", "replaced route put right, p99", 2),
    at_most("restart", "in sync after kill -9, 10,000 routes and 250 pods", 0.25),
    at_most("restart", "routes written after kill -9", 0),
    at_most("cli", "version", 60),
    at_most("cli", "node status", 60),
    at_most("cli", "get nodes", 100),
    at_most("cli", "get wep -A", 400),
    at_most("cli", "ipam check on SQLite", 800),
    at_most("cli", "ipam check on SQLite, memory", 80 * 1.048576),
    at_most("cli", "ipam check on Kubernetes", 1000),
    at_most("cli", "ipam check on Kubernetes, memory", 100),
    at_least("kube", "CNI ADD alone", 1 / 1.5),
    at_least("kube", "CNI ADDs/s, 10 at once, beside Calico's", 10),
    at_least("kube", "CNI ADDs/s, 50 at once, beside Calico's", 10),
    at_most("kube", "requests for one ADD", 3),
    at_most("kube", "requests before the answer of one ADD", 2),
    at_most("kube", "requests for one DEL", 3),
    at_least("kube", "assigns, one node", 0.6),
    at_least("kube", "assigns, three nodes", 0.6),
    at_most("kube", "assign p99, one node", 150),
    at_most("kube", "assign p99, three nodes", 150),
    Goal(
        "kube_faults",
        "a watch has what a list returns, after the slowest fault of a run",
        most=5,
        counted_by="tests/kube/test_faults_in_turn.py",
    ),
    counted("connections to the API server", 1),
    counted("requests in a minute at rest but for watches", 0),
    counted("events by 200 pods elsewhere but for blocks claimed", 0),
)
"""A row that no benchmark measures yet is a goal that is not met."""
