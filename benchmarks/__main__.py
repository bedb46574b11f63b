"""Measure minigrad beside the peers that are installed, as ratios.

    python -m benchmarks                     the training step of mnist_cnn, beside PyTorch
    python -m benchmarks training --batch 16 64 256
    python -m benchmarks explain             attribution methods, beside Captum
"""
import argparse
import importlib.util
import platform

import numba

from .attribution import METHODS
from .rounds import compare, table

TORCH = ["torch", "torch_channels_last", "torch_fused", "torch_channels_last_fused"]


def main():
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("training", "explain"), default="training")
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="batch sizes of the training step")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="attribution methods")
    parser.add_argument("--rounds", type=int, default=9, help="turns that every library takes")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {numba.get_num_threads()} threads, medians of {arguments.rounds} interleaved rounds")
    if arguments.what == "training":
        for size in arguments.batch:
            title = f"training step of mnist_cnn with Adam, batch {size}"
            show(title, "torch", TORCH, "training", size, arguments.rounds)
    else:
        for method in arguments.methods:
            show(f"{method}, 16 images, mnist_cnn", "captum", ["captum"], "attribution", method, arguments.rounds)


def show(title, package, peers, workload, setting, rounds):
    """Compare minigrad with its peers on one workload, if their package is installed, and print the table."""
    if not importlib.util.find_spec(package):
        print(f"{package} is not installed: left out")
        peers = []
    print(title)
    print("\n".join(table(compare(["minigrad", *peers], workload, setting, rounds=rounds), "minigrad")), flush=True)


if __name__ == "__main__":
    main()
