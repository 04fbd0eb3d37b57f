"""The controller's numbers as Prometheus metrics, read when scraped. Names are Calico's where Calico has the thing.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.figures import by_node
from controller.report import Report, Work
from felix_py.exposition import Metric, counter, counter_by, gauge, gauge_by

_LABELS = ("ippool", "node")


def metrics(report: Report) -> Iterable[Metric]:
    """Yield every metric of a controller."""
    work = report.work
    yield gauge("felix_controller_leading", "1 while this controller leads", report.leads)
    yield gauge("felix_controller_held", "Reasons why nothing is given back at present", len(work.held))
    unreadable = "Records of addresses that could not be read in the last round"
    yield gauge("felix_controller_unreadable_records", unreadable, work.unreadable)
    if work.last_round is not None:
        ago = "How long ago the last round over the whole cluster ended"
        yield gauge("felix_controller_last_round_seconds", ago, work.last_round)
    for what in ("addresses", "handles", "blocks"):
        text = f"What was given back since this controller leads: {what}"
        yield counter(f"felix_controller_released_{what}", text, getattr(work, what))
    yield from _of_addresses(work)


def _of_addresses(work: Work) -> Iterable[Metric]:
    """Yield Calico's metrics of addresses: those of the last round."""
    found = work.figures
    for name, text, counts in (
        ("ipam_allocations_in_use", "Assigned addresses", found.in_use),
        ("ipam_allocations_borrowed", "Assigned addresses of blocks that are not the node's", found.borrowed),
        ("ipam_blocks", "Blocks", found.blocks),
        ("ipam_allocations_gc_candidates", "Addresses that look leaked", found.candidates),
    ):
        yield gauge_by(name, text, _LABELS, sorted(counts.items()))
    given_back = sorted(work.reclaimed.items())
    yield counter_by("ipam_allocations_gc_reclamations", "Addresses that were given back", _LABELS, given_back)
    sizes = [((pool,), size) for pool, size in found.sizes.items()]
    yield gauge_by("ipam_ippool_size", "Addresses of a pool", ("ippool",), sizes)
    for name, text, counts in (
        ("ipam_allocations_per_node", "Assigned addresses of a node", found.in_use),
        ("ipam_allocations_borrowed_per_node", "Of those, from blocks that are not the node's", found.borrowed),
        ("ipam_blocks_per_node", "Blocks of a node", found.blocks),
    ):
        yield gauge_by(name, text, ("node",), [((node,), count) for node, count in by_node(counts).items()])
