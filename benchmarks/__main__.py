"""Measure minigrad beside the peers that are installed: `python -m benchmarks [--batch 16 64 256] [--rounds 9]`."""
import argparse
import importlib.util
import platform

import numba

from .rounds import compare, table

PEERS = {"torch": ["torch", "torch_channels_last", "torch_fused", "torch_channels_last_fused"]}


def main():
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="batch sizes of the training step")
    parser.add_argument("--rounds", type=int, default=9, help="turns that every library takes")
    arguments = parser.parse_args()
    libraries = ["minigrad"]
    for package, variants in PEERS.items():
        if importlib.util.find_spec(package):
            libraries += variants
        else:
            print(f"{package} is not installed: left out")
    print(f"{platform.processor() or platform.machine()}, {numba.get_num_threads()} threads, medians of "
          f"{arguments.rounds} interleaved rounds")
    for size in arguments.batch:
        print(f"training step of mnist_cnn with Adam, batch {size}")
        print("\n".join(table(compare(libraries, "training", size, rounds=arguments.rounds), "minigrad")))


if __name__ == "__main__":
    main()
