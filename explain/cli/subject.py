"""What is to be explained: which pictures, and which classes to ask about."""

from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

import minigrad
from minigrad.cli.predict import class_names
from minigrad.plots import percent
from minigrad.predict import predict

ROLES = "true, top1, top2 ... (the likeliest, the second ...), least (the unlikeliest), or the name of a class"


def pictures(dataset, index):
    """The pictures and labels of the test set at these places."""
    for i in index:
        if not 0 <= i < len(dataset):
            raise ValueError(f"there is no test image {i}; {dataset.name} has 0 to {len(dataset) - 1}")
    return dataset.images[index], dataset.labels[index]


class Question(NamedTuple):
    """One picture and one class: a column of the figure.

    Attributes
    ----------
    row : int
        Of the pictures.
    target : int
    label : str
        For the figure: the class, its probability, and why it is asked about.
    roles : tuple of str
    """

    row: int
    target: int
    label: str
    roles: tuple


def questions(model, images, labels, targets, classes):
    """The classes to ask about for each picture; those that coincide are asked about once.

    Parameters
    ----------
    targets : sequence of str
        Among `ROLES`.
    classes : sequence of str

    Returns
    -------
    list of Question
        Those of a picture one after the other, in the order of `targets`.
    """
    p = predict(model, images)
    order = np.argsort(-p, axis=1, kind="stable")
    found = []
    for row, (label, ranked) in enumerate(zip(labels, order, strict=True)):
        asked = {}
        for role in targets:
            asked.setdefault(_class(role, int(label), ranked, classes), []).append(role)
        for target, roles in asked.items():
            why = ", ".join(role.replace("top", "top ") for role in roles if role not in classes)
            name = short(classes[target])
            text = "\n".join(filter(None, [name, f"{percent(p[row, target])}", why]))
            found.append(Question(row, target, text, tuple(roles)))
    return found


def names_of(model, dataset):
    """The classes' names."""
    if hasattr(model, "metadata"):
        with minigrad.no_grad():
            return class_names(model, model(minigrad.Tensor(dataset.images[:1])).shape[1])
    return dataset.classes


def _class(role, label, ranked, classes):
    """The number of the class that a role stands for."""
    if role == "true":
        return label
    if role == "least":
        return int(ranked[-1])
    if role.startswith("top") and role[3:].isdigit() and 1 <= int(role[3:]) <= len(ranked):
        return int(ranked[int(role[3:]) - 1])
    if role in classes:
        return list(classes).index(role)
    raise ValueError(f"there is no target {role!r}; {_near(role, ['true', 'top1', 'top2', 'least', *classes])}"
                     f"Expected {ROLES}")  # fmt: skip


def class_number(name, classes):
    """The number of a class that is named, or given by its number where no class has that name."""
    if name in classes:
        return list(classes).index(name)
    if name.isdigit() and int(name) < len(classes):
        return int(name)
    raise ValueError(f"there is no class {name!r}; {_near(name, classes)}Expected the name of a class, or its number "
                     f"from 0 to {len(classes) - 1}")  # fmt: skip


def _near(name, known):
    near = get_close_matches(name, known, 3, 0.4)
    return f"did you mean {', '.join(near)}? " if near else ""


def refuse_other_than_png(out):
    """Raise ValueError unless the file that is to be written has the name of a PNG."""
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out is {out}, expected the name of a PNG file, such as {out}.png")


def short(name, width=18):
    """A name that fits above a picture."""
    return name if len(name) <= width else name[: width - 1] + "…"
