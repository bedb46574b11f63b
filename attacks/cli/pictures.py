"""Make pictures from a network's gradients: fooling images, images from noise, from one class to another, one noise.

Written into the folder --out: fooling.png (a little change, magnified, and the class is another), from_noise.png (what
each class's logit likes best, with and without regularisers, and the climb), towards.png (a picture pushed to another
class, the nearer to it the larger beta), noise.png (one matrix for many pictures, and others that it turns)."""

from pathlib import Path

import numpy as np

from minigrad import functional as F
from minigrad import no_grad, tensor
from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.files import ensure_writable
from minigrad.plots import gallery, new_figure, percent, save

from .. import show
from ..carryover import added, noise_matrix
from ..images import fooling_image, image_to_image, rubbish_image
from . import menu

BETAS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
TAMED = {"l2": 0.3, "tv": 0.05, "jitter": 2}
EXAMPLES = """\
examples:
  python -m attacks pictures runs/mnist
  python -m attacks pictures runs/mnist --eps 0.3 --learn 100 --out pictures
"""


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, or a .safetensors file")
    add("--steps", type=number(int, 1), default=200, metavar="N", help="of each climb (default: 200)")
    add("--eps", type=number(float, 0, open_low=True), default=0.35, metavar="E",
        help="largest value of the noise (default: 0.35)")
    add("--learn", type=number(int, 1), default=50, metavar="N", help="pictures the noise learns on (default: 50)")
    add("--carry", type=number(int, 1), default=200, metavar="N", help="others it is tried on (default: 200)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add("--out", type=Path, default=Path("pictures"), metavar="FOLDER", help="where to write (default: pictures)")


def run(arguments):
    """Make the four figures, and say in numbers what each shows."""
    model, dataset = load(arguments.run)
    right = np.flatnonzero(menu.predicted(model, dataset.images[:2000]) == dataset.labels[:2000])
    if len(right) < arguments.learn + arguments.carry:
        raise ValueError(f"--learn {arguments.learn} and --carry {arguments.carry} need as many test images that the "
                         f"network has right, of the first 2,000 there are {len(right)}; make them smaller")
    ensure_writable(arguments.out, caller="attacks")
    studio = Studio(model, dataset, right, arguments)
    for name in ("fooling", "from_noise", "towards", "noise"):
        figure, said = getattr(studio, name)()
        save(figure, arguments.out / f"{name}.png")
        print(f"{name}.png: {said}")
    print(f"saved in {arguments.out}")


class Studio:
    """What the four figures share: the network, one picture of each class, those it has right, and the settings."""

    def __init__(self, model, dataset, right, arguments):
        self.model, self.dataset, self.right, self.arguments = model, dataset, right, arguments
        classes, first = np.unique(dataset.labels[right], return_index=True)
        one_each = right[first[:10]]
        self.x, self.y = dataset.images[one_each], dataset.labels[one_each]
        self.names, self.classes = dataset.classes, classes[:10]
        self.rng = np.random.default_rng(arguments.seed)

    def fooling(self):
        """Every picture taken for the next class."""
        found = fooling_image(self.model, self.x, np.roll(self.y, -1), steps=self.arguments.steps)
        labels = [f"{self.names[a]}\n→ {self.names[b]}" for a, b in zip(self.y, self._taken(found.x_adv), strict=True)]
        figure = show.compare(found, range(len(self.x)), factor=10, labels=labels,
                              figure=new_figure(1.2 * len(self.x) + 1, 4.2))
        return figure, (f"{found.rate():.0%} of {len(self.x)} pictures turned, by a change of mean length (L2) "
                        f"{found.distance['l2'].mean():.2f}")

    def from_noise(self):
        """The images that classes like best, as they come and with regularisers; below them the climb."""
        options = {"shape": self.x.shape[1:], "steps": self.arguments.steps, "rng": self.rng}
        found = {"as it comes": rubbish_image(self.model, self.classes, **options),
                 "regularised": rubbish_image(self.model, self.classes, **options, **TAMED)}
        figure = new_figure(1.2 * len(self.classes), 5.6)
        *rows, below = figure.subfigures(3, 1, height_ratios=(1.5, 1.5, 2.2))
        ax, said = below.subplots(), []
        for part, (how, made) in zip(rows, found.items(), strict=True):
            sure = self._probability(made.x_adv, self.classes)
            titles = [f"{self.names[k]}: {percent(p)}" for k, p in zip(self.classes, sure, strict=True)]
            gallery(made.x_adv, titles, figure=part)
            said.append(f"{how} {percent(sure.mean())}")
            part.suptitle(how, fontsize=9, x=0.01, ha="left")
            ax.plot([np.nanmean(entry["loss"]) for entry in made.trace], label=how)
        ax.set(xlabel="step", ylabel="logit, mean over classes")
        ax.legend(frameon=False, fontsize=8)
        return figure, f"mean probability {', '.join(said)}"

    def towards(self):
        """One picture pushed to another class, kept near by beta."""
        start, goal = self.x[[-1]], int(self.y[0])
        made = [image_to_image(self.model, start, np.array([goal]), beta=beta, steps=self.arguments.steps,
                               rng=self.rng).x_adv[0] for beta in BETAS]
        sure = self._probability(np.stack(made), np.full(len(made), goal))
        away = [np.linalg.norm(image - start[0]) for image in made]
        titles = [f"beta {b:g}\n{self.names[goal]}: {percent(p)}\nL2 {d:.2f}"
                  for b, p, d in zip(BETAS, sure, away, strict=True)]
        figure = gallery([start[0], *made], [f"start\n{self.names[self.y[-1]]}\n", *titles], size=1.6)
        return figure, f"from {self.names[self.y[-1]]} to {self.names[goal]}, L2 {away[0]:.2f} to {away[-1]:.2f}"

    def noise(self):
        """One matrix learned on some pictures, added to others; and the same values shuffled, as a control."""
        learn = self.right[:self.arguments.learn]
        others = self.right[self.arguments.learn:][:self.arguments.carry]
        images, labels = self.dataset.images, self.dataset.labels
        found = noise_matrix(self.model, images[learn], labels[learn], eps=self.arguments.eps, rng=self.rng,
                             steps=self.arguments.steps, others=(images[others], labels[others]))
        matrix, carried, few = found.extra["noise"], found.extra["carried"], others[:7]
        shown = added(images[few], matrix, (0, 1))
        titles = [f"{self.names[a]} → {self.names[b]}" for a, b in zip(labels[few], self._taken(shown), strict=True)]
        figure = gallery([0.5 + matrix / (2 * np.abs(matrix).max()), *shown], ["the noise", *titles], size=1.5)
        return figure, (f"one noise of at most {self.arguments.eps:g} turns {carried.rate:.0%} of {carried.tried} "
                        f"pictures it has not seen, the same values shuffled {carried.control:.0%}")

    def _taken(self, images):
        return menu.predicted(self.model, images)

    def _probability(self, images, classes):
        with no_grad():
            return F.softmax(self.model(tensor(images)), 1).data[np.arange(len(images)), classes]
