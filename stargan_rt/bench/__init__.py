"""How fast an engine is, measured the same way wherever a figure is printed."""

from stargan_rt.bench.timing import Latency, compare_latency, measure_latency

__all__ = ["Latency", "compare_latency", "measure_latency"]
