"""Does a class depend on a concept that people can name, such as stripes? Testing with concept activation vectors.

A concept is given by example images. In a layer's activations a linear classifier tells them from random images; its
normal v, the concept activation vector, points towards the concept. The class's score changes along it by

    S(x) = gradient of the score at layer(x), times v

and the TCAV score is the part of the class's images with S > 0. Kim et al. 2018.

In so many dimensions any two sets of images can be told apart, so a vector proves nothing: there must be a test against
*random concepts*, random images in the concept's place. The paper compares the TCAV scores of many runs, each with
other random images, by a t-test. But all those runs share the concept's images, whose chance likeness to the class does
not go away by repetition, so the t-test finds about three in ten random sets significant at 5 %.
Here each random concept is treated as the concept is, a fixed set met in several runs, and the question is how its mean
S ranks among theirs: if the concept were one more random set, every rank would be as likely. Both p-values are given,
and the second decides.
"""

from dataclasses import dataclass

import numpy as np

from .game import checked_count
from .game import steps as shown_steps
from .inputs import as_generator
from .layers import layer_activation
from .scoring import Scoring, layer_path

PENALTY = 0.01  # of the linear classifier, in units of the mean square of an activation row


@dataclass(eq=False)
class ConceptTest:
    """How a class depends on a concept.

    Attributes
    ----------
    score : float in [0, 1]
        The TCAV score, a mean over runs: the part of the images whose score rises towards the concept.
    sensitivity : float
        The mean of S(x) over images and runs, with v of length 1: how much it rises.
    p_value : float
        How many of the random concepts and this one have a sensitivity as far from the random ones' median. Of several
        concepts, multiply it by their number (Bonferroni). It cannot be below 1 / (n_random + 1).
    significant : bool
        Whether p_value is at most `alpha`.
    t_test : float
        The paper's p-value: Welch's, of equal means of `scores` and of as many runs with random concepts. Too small.
    scores : ndarray (n_runs,)
    random_scores, random_sensitivity : ndarray (n_random,)
        Of each random concept, as `score` and `sensitivity`.
    accuracy : ndarray (n_runs,)
        Of the linear classifiers on images they were not fitted to; near 0.5 the concept is not in this layer.
    per_image : ndarray (N,)
        S(x) of each image, a mean over runs.
    vectors : ndarray (n_runs, *layer's shape)
        The concept activation vectors, of length 1.
    layer : str
    target : ndarray (N,)
    """

    score: float
    sensitivity: float
    p_value: float
    significant: bool
    t_test: float
    scores: np.ndarray
    random_scores: np.ndarray
    random_sensitivity: np.ndarray
    accuracy: np.ndarray
    per_image: np.ndarray
    vectors: np.ndarray
    layer: str
    target: np.ndarray

    def __repr__(self):
        return (f"ConceptTest(layer {self.layer}: score {self.score:.2f}, sensitivity {self.sensitivity:.3g}, "
                f"p {self.p_value:.2g}{'' if self.significant else ', not significant'}, "
                f"accuracy {self.accuracy.mean():.2f})")  # fmt: skip


def tcav(model, x, target=None, *, layer, concept, random, n_runs=5, n_random=39, alpha=0.05, rng=None,
         progress=False, **common):  # fmt: skip
    """Test whether a class depends on a concept, at a layer. Kim et al. 2018.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`; x should be images of the class `target`.
    layer : Module or str
    concept : ndarray (M, C, H, W) in [0, 1]
        Examples of the concept, some tens of them.
    random : ndarray (R, C, H, W) in [0, 1]
        Other images, many times as many: the sets are drawn from them, of the concept's size where there are twice as
        many. Sets drawn from few images overlap, and then vary less than new ones would.
    n_runs : int
        Random sets that a concept is told from, at least 2.
    n_random : int
        Random concepts.
    alpha : float
    rng : np.random.Generator, optional
        For the draws, and which third of the images is held out.
    progress : bool

    Returns
    -------
    ConceptTest
    """
    method = "tcav"
    n_runs = checked_count(method, "n_runs", n_runs, 2, "a test needs a spread")
    n_random = checked_count(method, "n_random", n_random, 2, "concepts to compare with")
    concept, random = np.asarray(concept), np.asarray(random)
    if len(concept) < 3 or len(random) < 6:
        raise ValueError(f"{method}: got {len(concept)} images of the concept and {len(random)} random ones, expected "
                         "at least 3 and 6")  # fmt: skip
    rng = as_generator(method, rng)
    with Scoring(method, model, x, target, **common) as run:
        path = layer_path(method, model, layer)
        gradients = []
        for part in run.batches(len(run.x)):
            _, scores, activation = run.record_layer(run.x[part], path, part)
            gradients.append(run.pull(scores, activation, run.targets(part)))
        shape, gradients = gradients[0].shape[1:], _rows(np.concatenate(gradients))
        inside, outside = (_rows(layer_activation(model, images, layer=path, **common).values)
                           for images in (concept, random))  # fmt: skip
    size = min(len(inside), len(outside) // 2)
    tried = []
    for number in shown_steps(range(n_random + 1), progress, method):
        order = rng.permutation(len(outside))
        positive, others = (inside, order) if number == 0 else (outside[order[:size]], order[size:])
        found = [concept_vector(positive, outside[rng.choice(others, size, replace=False)], rng) for _ in range(n_runs)]
        vectors = np.stack([v for v, _ in found])
        along = gradients @ vectors.T
        if number == 0:
            kept, accuracy, per_image = vectors, np.array([a for _, a in found]), along.mean(1)
        tried.append(((along > 0).mean(0), along.mean()))
    scores = np.array([s for s, _ in tried])
    sensitivity = np.array([s for _, s in tried])
    off = np.abs(sensitivity - np.median(sensitivity[1:]))
    p_value = float((off >= off[0]).mean())
    return ConceptTest(
        float(scores[0].mean()), float(sensitivity[0]), p_value, p_value <= alpha,
        _welch(scores[0], scores[1 : 1 + n_runs, 0]), scores[0], scores[1:].mean(1), sensitivity[1:], accuracy,
        per_image, kept.reshape(n_runs, *shape), path, run.target)  # fmt: skip


def concept_vector(positive, negative, rng):
    """The normal of a linear classifier that tells rows from rows, towards `positive`.

    Ridge regression on labels of 1 and -1, solved exactly among combinations of the rows, of which there are fewer than
    activations.

    Parameters
    ----------
    positive, negative : ndarray (n, D)
    rng : np.random.Generator
        To hold out a third of each.

    Returns
    -------
    vector : ndarray (D,), of length 1
    accuracy : float
        On the rows held out, the mean of both sides'.
    """
    sides = [rows[rng.permutation(len(rows))] for rows in (positive, negative)]
    cuts = [max(1, len(rows) // 3) for rows in sides]
    held, fitted = zip(*((rows[:cut], rows[cut:]) for rows, cut in zip(sides, cuts, strict=True)), strict=True)
    middle = np.mean([rows.mean(0) for rows in fitted], 0)
    rows = np.concatenate(fitted) - middle
    products = rows @ rows.T
    penalty = PENALTY * np.trace(products) or 1.0
    labels = np.repeat([1.0, -1.0], [len(part) for part in fitted])
    vector = np.linalg.solve(products + penalty * np.eye(len(rows)), labels) @ rows
    right = [((part - middle) @ vector * sign > 0).mean() for part, sign in zip(held, (1, -1), strict=True)]
    return vector / (np.linalg.norm(vector) or 1.0), float(np.mean(right))


def _rows(values):
    return values.reshape(len(values), -1).astype(np.float64)


def _welch(a, b):
    """The p-value of equal means; scores that do not vary at all are equal or they are not."""
    if np.ptp(a) == np.ptp(b) == 0:
        return float(a[0] == b[0])
    from scipy.special import stdtr

    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return float(2 * stdtr(freedom, -abs(a.mean() - b.mean()) / np.sqrt(va + vb)))
