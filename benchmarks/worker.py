"""One process that times one workload of one library, a round at a time, when told to.

    python -m benchmarks.worker minigrad training 64

prints `ready`, then for every line on standard input runs the workload for about `SECONDS` and prints the median of its
times in milliseconds. Libraries stay in processes of their own because two thread pools in one process fight for the
cores.
"""
import importlib
import statistics
import sys
import time

SECONDS = 0.5


def main(library, workload, *settings):
    """Answer each line of standard input with one measured round."""
    module = importlib.import_module(f"benchmarks.{workload}")
    step = getattr(module, library)(*(int(s) if s.isdigit() else s for s in settings))
    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        times, end = [], time.perf_counter() + SECONDS
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        print(statistics.median(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
