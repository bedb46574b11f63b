"""Take turns: A B C, A B C, ... so that a machine that slows down or speeds up does so for everybody."""
import statistics
import subprocess
import sys


class Worker:
    """A `benchmarks.worker` process that has warmed up."""

    def __init__(self, library, workload, *settings):
        command = [sys.executable, "-m", "benchmarks.worker", library, workload, *map(str, settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"benchmarks: {' '.join(command[1:])} did not start (exit code {self.process.wait()})")

    def round(self):
        """Milliseconds per call: the median of one round."""
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def compare(libraries, workload, *settings, rounds=9):
    """Time a workload in several libraries, in turns.

    Returns
    -------
    dict of str to list of float
        For each library the milliseconds per call of each round; entry i of every list was measured in the same turn.
    """
    workers = {name: Worker(name, workload, *settings) for name in libraries}
    try:
        turns = [{name: worker.round() for name, worker in workers.items()} for _ in range(rounds)]
    finally:
        for worker in workers.values():
            worker.close()
    return {name: [turn[name] for turn in turns] for name in libraries}


def table(times, base):
    """Lines of text: the median time of each library, and the median over turns of base's time divided by it."""
    lines = []
    for name, values in times.items():
        ratio = statistics.median(b / v for b, v in zip(times[base], values, strict=True))
        spread = f"{min(values):.2f}..{max(values):.2f}"
        lines.append(f"  {name:24} {statistics.median(values):9.2f} ms  "
                     f"({spread}){'' if name == base else f'   {base} / it = {ratio:.2f}'}")
    return lines
