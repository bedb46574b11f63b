"""Measure minigrad beside the peers that are installed, as ratios.

    python -m benchmarks                     the training step of mnist_cnn, beside PyTorch
    python -m benchmarks training --batch 16 64 256 --tensorflow ~/tf/bin/python
    python -m benchmarks training --batch-norm
    python -m benchmarks inference --batch 1 64 1000
    python -m benchmarks kernels             each kernel on the layers of a network, beside PyTorch's
    python -m benchmarks explain             attribution methods, beside Captum
    python -m benchmarks attacks             attacks on 100 images, beside Foolbox
    python -m benchmarks profile             where the milliseconds of a training step go
    python -m benchmarks cold                seconds to the first training step, without and with compiled kernels
"""
import argparse
import importlib.util
import platform
import tempfile

import numba

from . import cold, profile
from .attacks import ATTACKS
from .attribution import METHODS
from .digits import trained
from .layers import INPUTS
from .rounds import compare, table

TORCH = ["torch", "torch_channels_last", "torch_fused", "torch_channels_last_fused"]


def main():
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="training",
                        choices=("training", "inference", "kernels", "explain", "attacks", "profile", "cold"))
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="batch sizes of training and kernels")
    parser.add_argument("--batch-norm", action="store_true", help="the network with batch norm")
    parser.add_argument("--tensorflow", metavar="PYTHON",
                        help="measure TensorFlow too, with this interpreter: it wants an environment of its own")
    parser.add_argument("--network", choices=INPUTS, default="mnist_cnn", help="whose layers the kernels work on")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="attribution methods")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=ATTACKS, help="attacks")
    parser.add_argument("--run", help="folder of a run of mnist_cnn, to explain or attack (default: one is trained on "
                                      "the embedded digits first)")
    parser.add_argument("--rounds", type=int, default=9, help="turns that every library takes")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {numba.get_num_threads()} threads, medians of {arguments.rounds} interleaved rounds")
    if arguments.what in ("training", "inference"):
        pythons = {"tensorflow": arguments.tensorflow} if arguments.tensorflow else {}
        inference = arguments.what == "inference"
        network = f"mnist_cnn{' with batch norm' if arguments.batch_norm else ''}"
        for size in arguments.batch:
            title = f"{'answers' if inference else 'training step with Adam'} of {network}, batch {size}"
            show(title, "torch", TORCH[:2] if inference else TORCH, "training",
                 [size, int(arguments.batch_norm), int(inference)], arguments.rounds, pythons)
    elif arguments.what == "profile":
        for size in arguments.batch:
            print(f"training step, batch {size}\n{profile.text(profile.step(size, arguments.batch_norm))}")
    elif arguments.what == "cold":
        empty, full = cold.start()
        print(f"first training step after {empty:.1f} s with an empty cache of kernels, {full:.1f} s with a full one")
    elif arguments.what == "kernels":
        for size in arguments.batch:
            title = f"{arguments.network}, batch {size}"
            show(title, "torch", TORCH[:2], "kernels", [arguments.network, size], arguments.rounds)
    else:
        names, peer, workload, images = {
            "explain": (arguments.methods, "captum", "attribution", 16),
            "attacks": (arguments.attacks, "foolbox", "attacks", 100),
        }[arguments.what]
        with tempfile.TemporaryDirectory() as folder:
            run = arguments.run or trained(folder)
            for name in names:
                title = f"{name}, {images} images, mnist_cnn"
                show(title, peer, [peer], workload, [name, run], arguments.rounds)


def show(title, package, peers, workload, settings, rounds, pythons=None):
    """Compare minigrad with its peers on one workload, if their package is installed, and print the table.

    `pythons` maps peers that have an environment of their own to its interpreter.
    """
    if not importlib.util.find_spec(package):
        print(f"{package} is not installed: left out")
        peers = []
    libraries = ["minigrad", *peers, *(pythons or {})]
    for call, times in compare(libraries, workload, *settings, rounds=rounds, pythons=pythons).items():
        print("\n".join([f"{title}: {call}" if call else title, *table(times, "minigrad")]), flush=True)


if __name__ == "__main__":
    main()
