"""Learning: walk through the images in mini-batches, and after each take one step down the gradient of its loss.

`train_step` is the whole of it. What `fit` adds is what a long run needs: the loss is watched, every epoch is tested
and written down, and a run that is stopped, by Ctrl-C or by force, can go on as if nothing had been.
"""

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np

from .. import functional as F
from ..data import batches
from .checkpoint import Run, belongings
from .checks import check_arguments, check_model
from .evaluate import evaluate
from .progress import Progress


def train_step(model, optimizer, images, labels, *, label_smoothing=0.0, anomaly=False):
    """Show a model one mini-batch and let the optimizer take one step.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    images : ndarray (B, C, H, W), float32 in [0, 1]
    labels : ndarray (B,), integers

    Returns
    -------
    loss : float
        Mean cross-entropy, before the step.
    right : int
        How many of the B images had their largest logit at their label, before the step.

    Raises
    ------
    FloatingPointError
        The loss is NaN or infinite; no step was taken. With `anomaly` the message names the op it came from.
    """
    logits = model(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    value = loss.item()
    if not anomaly and not np.isfinite(value):
        raise FloatingPointError(f"the loss is {value}")
    optimizer.zero_grad()
    loss.backward(anomaly=anomaly)
    optimizer.step()
    return value, int((logits.data.argmax(1) == labels).sum())


def fit(model, train, test, *, epochs=10, batch_size=64, optimizer, schedule=None, rng, checkpoint=None, resume=False,
        progress=True, augment=None, perturb=None, callback=None, label_smoothing=0.0, anomaly=False):
    """Train a classifier and test it after every epoch.

    The same arguments and the same state of `rng` give the same weights to the last bit, on the same number of threads,
    also if the run was stopped and resumed in between.

    Parameters
    ----------
    model : Module
        Images (N, C, H, W) in [0, 1] to logits (N, classes). Trained in place; left in evaluation mode.
    train, test : Dataset
        The test images are only looked at, after each epoch.
    epochs : int
        How often every training image is seen, counted from the start of the run also when it is resumed.
    batch_size : int
    optimizer : Optimizer
        Made over the model's parameters (all, or those that are to learn).
    schedule : optional
        Of `minigrad.optim`, made over `optimizer`; stepped after every batch or epoch, as it says itself (``per``).
    rng : np.random.Generator
        Two children of it order and augment the images. Dropout has its own, in the model.
    checkpoint : str or Path, optional
        A file that is written before the first and after each epoch, and when Ctrl-C is pressed; deleted by nobody.
    resume : bool
        Go on from `checkpoint`, if it is there. Everything else must be as it was; only `epochs` may grow.
    progress : bool
        Show a bar (on a terminal) and a line an epoch on stderr.
    augment : callable, optional
        ``augment(images, rng=rng) -> images``, such as ``functools.partial(data.shift, pixels=2)``.
    perturb : callable, optional
        ``perturb(model, images, labels, step=, rng=) -> images``: what is learned from in place of a batch, made with
        the model as it is at that step (counted from 0), as adversarial training does.
    callback : callable, optional
        ``callback(model, history)`` after every epoch, with the model in evaluation mode. Training ends if it returns
        True.
    label_smoothing : float in [0, 1]
        The part of each target that is spread evenly over the classes, in training only.
    anomaly : bool
        Slow: look at every array for NaN and infinity, to name the op and the layer that made the first.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        Arguments that do not fit one another, before anything is trained; a checkpoint that is damaged or belongs to
        another run, which is left as it is.
    OSError
        The checkpoint cannot be written (before anything is trained); FileExistsError if there is one already and
        `resume` is False.
    FloatingPointError
        The loss became NaN or infinite.
    KeyboardInterrupt
        Ctrl-C; with a `checkpoint`, after the batch is done and the run is saved.
    """
    check_arguments(model, train, test, epochs, batch_size, optimizer, schedule, rng, checkpoint, resume)
    check_model(model, train)
    run = Run(model, optimizer, schedule, *rng.spawn(2))
    shown = Progress(progress, epochs, len(train))
    save = _saver(run, checkpoint, resume, shown,
                  belongings(run, train, test, batch_size, augment, perturb, label_smoothing))
    feed = batches(train, batch_size, rng=run.augmentation, augment=augment)
    with _until_stopped(checkpoint) as stopped, shown:
        while run.position.epoch < epochs:
            _train_epoch(run, feed, shown, stopped, perturb, label_smoothing=label_smoothing, anomaly=anomaly)
            closed = run.position.batch == len(feed)
            if closed:
                _close_epoch(run, test, shown)
            save()
            if closed and callback is not None:
                model.eval()
                if callback(model, run.history):
                    break
            if stopped():
                at = run.position
                raise KeyboardInterrupt(f"fit: stopped after {at.epoch} of {epochs} epochs and {at.batch} of "
                                        f"{len(feed)} batches; saved in {checkpoint}, go on with resume=True")
    model.eval()
    return run.history


def _saver(run, checkpoint, resume, shown, belongs):
    """Return the function that saves the run; load it first, or find out now whether the file can be written."""
    if checkpoint is None:
        return lambda: None
    checkpoint = Path(checkpoint)
    if resume and checkpoint.exists():
        run.load(checkpoint, belongs)
        at = run.position
        shown.say(f"resuming {checkpoint} after {at.epoch} epochs" + (f" and {at.batch} batches" if at.batch else ""))
    elif checkpoint.exists():
        raise FileExistsError(f"fit: {checkpoint} exists and may hold hours of training; pass resume=True to go on "
                              f"with it, or delete it to start anew")
    run.save(checkpoint, belongs)
    return lambda: run.save(checkpoint, belongs)


def _train_epoch(run, feed, shown, stopped, perturb, **options):
    """Train to the end of the epoch, or until somebody wants to stop."""
    at, schedule = run.position, run.schedule
    run.model.train()
    shown.start(at.epoch, at.images)
    order, begun = run.draw_order(len(feed.dataset)), perf_counter() - at.seconds
    for images, labels in feed.walk(order, at.batch):
        if perturb is not None:
            step = at.epoch * len(feed) + at.batch
            images = perturb(run.model, images, labels, step=step, rng=run.augmentation)
        try:
            loss, right = train_step(run.model, run.optimizer, images, labels, **options)
        except FloatingPointError as error:
            where = f"epoch {at.epoch + 1}, batch {at.batch + 1} of {len(feed)}"
            raise _diverged(f"{where}: {error}", run, options["anomaly"]) from error
        at.batch += 1
        at.images += len(images)
        at.loss += loss * len(images)
        at.right += right
        if schedule and schedule.per == "batch" and at.batch < len(feed):
            schedule.step()
        shown.step(len(images), at.loss / at.images, at.right / at.images)
        if stopped():
            break
    at.seconds = perf_counter() - begun


def _close_epoch(run, test, shown):
    """Test, write the epoch down, and turn to the next one."""
    at, begun = run.position, perf_counter()
    tested = evaluate(run.model, test)
    if not np.isfinite(tested.loss):
        raise _diverged(f"after epoch {at.epoch + 1} the test loss is {tested.loss}", run)
    run.history.append(
        train_loss=at.loss / at.images, train_accuracy=at.right / at.images, test_loss=tested.loss,
        test_accuracy=tested.accuracy, lr=run.optimizer.lr, seconds=at.seconds + perf_counter() - begun,
        images_per_second=at.images / at.seconds)
    if run.schedule:
        run.schedule.step()
    run.next_epoch()
    shown.end(run.history)


def _diverged(what, run, anomaly=False):
    hint = "" if anomaly else ", or anomaly=True (--anomaly) to see which layer it comes from"
    return FloatingPointError(f"fit: {what}; try a smaller learning rate (now {run.optimizer.lr:g}){hint}")


@contextmanager
def _until_stopped(checkpoint):
    """Give a function that says whether Ctrl-C was pressed; the second press interrupts at once.

    Without a checkpoint there is nothing to wait for, and Ctrl-C interrupts as ever. Only the main thread gets signals.
    """
    if checkpoint is None or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = []
    before = signal.getsignal(signal.SIGINT)

    def note(number, frame):
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
