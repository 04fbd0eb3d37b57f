"""The API server of the tests in this folder."""

from tests.kube.bed import bed, started_bed

__all__ = ["bed", "started_bed"]
