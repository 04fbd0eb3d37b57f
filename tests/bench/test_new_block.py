"""New blocks of a small lab, seen in the kernels of its nodes."""

from __future__ import annotations

from pathlib import Path

from bench.new_block import SPEC, rows


def test_each_new_pod_of_a_lab_brings_a_block_that_every_other_node_learns(tmp_path: Path) -> None:
    spec = tmp_path / "two.yaml"
    spec.write_text(SPEC.read_text().replace("nodes: 20", "nodes: 2").replace("name: bench", "name: bench-two"))
    p50, p99 = rows(rounds=1, spec=spec, nodes=2, count=3)
    assert 0 <= p50.ours <= p99.ours
