"""What the stores that need a server run against."""

from tests.kube.bed import bed, started_bed

__all__ = ["bed", "started_bed"]
