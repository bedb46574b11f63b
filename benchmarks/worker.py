"""One process that times the calls of one library, a round at a time, when told to.

    python -m benchmarks.worker minigrad training 64

prints `ready`, then for every line on standard input runs each call of the workload for about `SECONDS` and prints the
medians of their times in milliseconds, as JSON. A workload is a module with a function for each library, which returns
a call, or a dict of calls with a name each. Libraries stay in processes of their own because two thread pools in one
process fight for the cores.
"""
import importlib
import json
import statistics
import sys
import time

SECONDS = 0.5


def main(library, workload, *settings):
    """Answer each line of standard input with one measured round."""
    module = importlib.import_module(f"benchmarks.{workload}")
    calls = getattr(module, library)(*(int(s) if s.isdigit() else s for s in settings))
    calls = calls if isinstance(calls, dict) else {"": calls}
    for call in calls.values():
        measured(call, 0)
    print("ready", flush=True)
    for _ in sys.stdin:
        share = SECONDS / len(calls) ** 0.5
        print(json.dumps({name: measured(call, share) for name, call in calls.items()}), flush=True)


def measured(call, seconds, summary=statistics.median):
    """The median time of one call, in milliseconds: of three at least, unless one takes more than a second.

    Another `summary` of the times may be asked for.
    """
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3 and max(times, default=0) < 1000:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return summary(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
