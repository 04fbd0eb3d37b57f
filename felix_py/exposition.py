"""Metrics as Prometheus scrapes them, in its text format (version 0.0.4). Pure.

Written here, since its client for Python loads servers and clients for HTTP with it: a tenth of an agent's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Of each series the values of the metric's labels, and the value."""


class Metric(NamedTuple):
    """All series of one name. A counter's name ends in `_total`."""

    name: str
    text: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    samples: Samples


def gauge(name: str, text: str, value: float) -> Metric:
    return Metric(name, text, "gauge", (), [((), value)])


def counter(name: str, text: str, value: float) -> Metric:
    """Return a counter of one series, which is called name_total."""
    return Metric(f"{name}_total", text, "counter", (), [((), value)])


def gauge_by(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    return Metric(name, text, "gauge", labels, samples)


def counter_by(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """Return a counter that is called name_total."""
    return Metric(f"{name}_total", text, "counter", labels, samples)


def exposition(metrics: Iterable[Metric]) -> bytes:
    """Return the page that a scraper reads."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric)).encode()


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.text}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for values, number in metric.samples:
        pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(metric.labels, values, strict=True))
        yield f"{metric.name}{f'{{{pairs}}}' if pairs else ''} {float(number)}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
