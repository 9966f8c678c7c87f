"""Counts and histograms of the service, as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from ganforge._version import __version__

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass
class Histogram:
    """Counts of values up to each bound, and their sum."""

    bounds: tuple[float, ...]
    counts: Counter[int] = field(default_factory=Counter)
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> list[str]:
        """The lines of the text."""
        out, below = [f"# TYPE {name} histogram"], 0
        for i, bound in enumerate((*self.bounds, "+Inf")):
            below += self.counts[i]
            out.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*out, f"{name}_sum {self.total:.6f}", f"{name}_count {below}"]


@dataclass
class Metrics:
    """What has happened since the start.

    Args:
        requests: answers by their status.
        pictures: samples that were computed.
        translated: pictures that were translated.
        dropped: requests that left the queue without being computed.
        seconds: from a request to its samples.
        together: requests that were computed in one round.
        translation: seconds from a picture's arrival to its translation.
    """

    requests: Counter[int] = field(default_factory=Counter)
    pictures: int = 0
    translated: int = 0
    dropped: int = 0
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    together: Histogram = field(default_factory=lambda: Histogram(SIZES))
    translation: Histogram = field(default_factory=lambda: Histogram(SECONDS))

    def text(self, waiting: int) -> str:
        """The text of /metrics; waiting: requests in the queue now."""
        lines = ["# TYPE ganforge_requests_total counter"]
        for status, count in sorted(self.requests.items()):
            lines.append(f'ganforge_requests_total{{status="{status}"}} {count}')
        for name, kind, value in (
            ("samples_total", "counter", self.pictures),
            ("translations_total", "counter", self.translated),
            ("dropped_total", "counter", self.dropped),
            ("queue_requests", "gauge", waiting),
        ):
            lines += [f"# TYPE ganforge_{name} {kind}", f"ganforge_{name} {value}"]
        lines += self.seconds.lines("ganforge_seconds")
        lines += self.together.lines("ganforge_batch_requests")
        lines += self.translation.lines("ganforge_translation_seconds")
        lines += ["# TYPE ganforge_build_info gauge"]
        return "\n".join([*lines, f'ganforge_build_info{{version="{__version__}"}} 1', ""])
