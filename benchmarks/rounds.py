"""Take turns: A B C, A B C, ... so that a machine that slows down or speeds up does so for everybody."""
import json
import os
import statistics
import subprocess
import sys

START = dict(os.environ)  # importing minigrad sets in it how OpenMP's threads wait, and peers are to wait as ever


class Worker:
    """A `benchmarks.worker` process that has warmed up; `python` is the interpreter that has the library.

    It uses `threads` threads; if left out, as many as minigrad would.
    """

    def __init__(self, library, workload, *settings, python=sys.executable, threads=None):
        command = [python, "-m", "benchmarks.worker", library, workload, *map(str, settings)]
        environment = START | ({"NUMBA_NUM_THREADS": str(threads)} if threads else {})
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"benchmarks: {' '.join(command[1:])} did not start (exit code {self.process.wait()})")

    def round(self):
        """Milliseconds of each call by its name: the medians of one round."""
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def compare(libraries, workload, *settings, rounds=9, pythons=None, threads=None):
    """Time a workload in several libraries, in turns; `pythons` are the interpreters of those that have their own.

    Every library uses `threads` threads; if left out, as many as minigrad would.

    Returns
    -------
    dict of str to dict of str to list of float
        For each call (named "" if a workload has but one) and library the milliseconds of each round; entry i of every
        list was measured in the same turn.
    """
    pythons = pythons or {}
    workers = {name: Worker(name, workload, *settings, python=pythons.get(name, sys.executable), threads=threads)
               for name in libraries}
    try:
        turns = [{name: worker.round() for name, worker in workers.items()} for _ in range(rounds)]
    finally:
        for worker in workers.values():
            worker.close()
    return {call: {name: [turn[name][call] for turn in turns] for name in libraries} for call in turns[0][libraries[0]]}


def ratio(times, base, other):
    """The median over turns of base's time divided by the other's."""
    return statistics.median(b / v for b, v in zip(times[base], times[other], strict=True))


def table(times, base):
    """Lines of text for one call: the median time of each library, and the ratio of base's time to it."""
    lines = []
    for name, values in times.items():
        spread = f"{min(values):.2f}..{max(values):.2f}"
        lines.append(f"  {name:24} {statistics.median(values):9.2f} ms  ({spread})"
                     f"{'' if name == base else f'   {base} / it = {ratio(times, base, name):.2f}'}")
    return lines
