"""Measure minigrad beside the peers that are installed, as ratios.

    python -m benchmarks                     the training step of mnist_cnn, beside PyTorch
    python -m benchmarks training --batch 16 64 256 --tensorflow ~/tf/bin/python
    python -m benchmarks training --batch-norm
    python -m benchmarks inference --batch 1 64 1000
    python -m benchmarks scaling --out FILE  a training step against batch, image, channels and threads; with a plot
    python -m benchmarks memory --batch 64 256 1024
                                             the memory that training adds to a process, beside PyTorch
    python -m benchmarks kernels             each kernel on the layers of a network, beside PyTorch's
    python -m benchmarks kernels --markdown  the same as one table with SqueezeNet, and which goals are missed
    python -m benchmarks roofline --out FILE the kernels of a training step under the roof of this machine; with a plot
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

from . import cold, floors, goals, memory, profile, roofline, scaling, squeezenet
from .attacks import ATTACKS
from .attribution import METHODS
from .digits import trained
from .layers import INPUTS
from .rounds import compare, table

WHAT = ("training", "inference", "scaling", "memory", "kernels", "roofline", "explain", "attacks", "profile", "cold")
ALONE = ("memory", "roofline", "profile", "cold")  # what does not take turns
TORCH = ["torch", "torch_channels_last", "torch_fused", "torch_channels_last_fused"]


def main():
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="training", choices=WHAT)
    parser.add_argument("--batch", type=int, nargs="+", default=[64],
                        help="batch sizes of training, inference, memory, kernels, roofline and profile")
    parser.add_argument("--batch-norm", action="store_true", help="the network with batch norm")
    parser.add_argument("--tensorflow", metavar="PYTHON",
                        help="measure TensorFlow too, with this interpreter: it wants an environment of its own")
    parser.add_argument("--network", choices=INPUTS, default="mnist_cnn", help="whose layers the kernels work on")
    parser.add_argument("--markdown", action="store_true",
                        help="kernels as one Markdown table, with SqueezeNet, and which goals are missed")
    parser.add_argument("--out", metavar="FILE",
                        help="where to write the plot of scaling, or of roofline and the last batch size, as PNG")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="attribution methods")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=ATTACKS, help="attacks")
    parser.add_argument("--run", help="folder of a run of mnist_cnn, to explain or attack (default: one is trained on "
                                      "the embedded digits first)")
    parser.add_argument("--rounds", type=int, default=9, help="turns that every library, or kernel of roofline, takes")
    arguments = parser.parse_args()
    turns = "" if arguments.what in ALONE else f", medians of {arguments.rounds} interleaved rounds"
    print(f"{platform.machine()}, {numba.get_num_threads()} threads{turns}")
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
    elif arguments.what == "scaling":
        growth(arguments)
    elif arguments.what == "memory":
        found = memory.measure(["minigrad", *present("torch", [TORCH[0], TORCH[-1]])], arguments.batch)
        print("memory that training mnist_cnn adds to a process at the most (minigrad's part of it)")
        print(memory.text(found))
    elif arguments.what == "roofline":
        for size in arguments.batch:
            under_the_roof(size, arguments)
    elif arguments.what == "kernels" and arguments.markdown:
        for size in arguments.batch:
            judge(size, arguments)
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
    libraries = ["minigrad", *present(package, peers), *(pythons or {})]
    for call, times in compare(libraries, workload, *settings, rounds=rounds, pythons=pythons).items():
        print("\n".join([f"{title}: {call}" if call else title, *table(times, "minigrad")]), flush=True)


def present(package, peers):
    """The peers if their package is installed; else none, and a line that says so."""
    if importlib.util.find_spec(package):
        return peers
    print(f"{package} is not installed: left out")
    return []


def growth(arguments):
    """Print a table for each quantity that a training step grows with, and plot them."""
    libraries, found = ["minigrad", *present("torch", [TORCH[0], TORCH[-1]])], []
    for sweep in scaling.measure(libraries, arguments.rounds, numba.get_num_threads()):
        found.append(sweep)
        print(f"{scaling.text(*sweep)}\n", flush=True)
    picture(arguments.out, lambda figures: figures.scaling_curves(found))


def under_the_roof(size, arguments):
    """Print the roofs and the kernels of a training step, and plot them."""
    found, roofs, unknown = roofline.measure(size, arguments.batch_norm, arguments.rounds)
    print(f"training step, batch {size}\n{roofline.text(found, roofs, unknown)}")
    picture(arguments.out, lambda figures: figures.roof(found, roofs))


def judge(size, arguments):
    """Print the kernels of a network, and SqueezeNet as a whole, as a table with goals.

    SqueezeNet gets one photograph, or as many as its kernels if it is they that are asked for.
    """
    libraries = ["minigrad", *present("torch", TORCH[:2])]
    found = compare(libraries, "kernels", arguments.network, size, rounds=arguments.rounds)
    photographs = size if arguments.network == squeezenet.NETWORK else 1
    whole = compare(libraries, "squeezenet", photographs, rounds=arguments.rounds)
    found |= {f"{squeezenet.NETWORK}: {call}": times for call, times in whole.items()}
    print(f"{arguments.network}, batch {size}; {squeezenet.NETWORK}, batch {photographs}\n"
          f"{goals.text(found, floors.measure(arguments.network, size))}")


def picture(path, draw):
    """Write what `draw` makes of the module of figures, if a path is given."""
    if path:
        from minigrad.plots import save

        from . import figures

        save(draw(figures), path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
