"""What is known of each public dataset: its files, their checksums, where they can be had, the names of its classes.

A checksum is the SHA-256 of the raw, decompressed bytes: whoever packs a file again gets another ``.gz`` of the same
data. It is why a mirror need not be trusted, nor the connection to it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file to look for: its name without ``.gz``, the SHA-256 of its raw bytes, and URLs to try in turn."""

    name: str
    sha256: str
    urls: tuple[str, ...]


def _idx_files(mirrors, train_images, train_labels, test_images, test_labels):
    """Return {split: (images, labels)} under the four standard names."""
    def file(name, sha256):
        return File(name, sha256, tuple(f"{mirror}{name}.gz" for mirror in mirrors))

    return {"train": (file("train-images-idx3-ubyte", train_images), file("train-labels-idx1-ubyte", train_labels)),
            "test": (file("t10k-images-idx3-ubyte", test_images), file("t10k-labels-idx1-ubyte", test_labels))}


IDX_FILES = {
    "mnist": _idx_files(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    "fashion-mnist": _idx_files(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
}

# The one archive whose checksum is that of the packed file: the one its authors publish (as MD5) is of that, too.
CIFAR10 = File("cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
               ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",))

DIGITS = tuple("0123456789")
CLASSES = {
    "mnist": DIGITS,
    "fashion-mnist": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "digits": DIGITS,
    "cats-vs-dogs": ("cat", "dog"),
}
SPLITS = ("train", "test")
