"""Benchmarks: minigrad beside its peers, in separate processes, interleaved, as ratios. Run `python -m benchmarks`."""
