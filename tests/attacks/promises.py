"""What every attack promises, whatever it does: checked in one place."""

import numba
import numpy as np

import minigrad
from tests.attacks import subjects


def rng():
    return np.random.default_rng(7)


def subject(samples=5, dtype=np.float32):
    """A small network, images with pixels at both bounds, and the classes it gives them."""
    model, (x, _) = subjects.cnn(dtype, seed=1), subjects.images(samples, dtype)
    return model, x, subjects.predicted(model, x)


def keeps_promises(attack, dtype=np.float32, samples=5, **options):
    """Bounds, dtype, honest success, no neighbour felt, nothing left to chance; returns the result."""
    model, x, y = subject(samples, dtype)
    y[1] = (y[1] + 1) % subjects.CLASSES
    before = x.copy()
    result = attack(model, x, y, **options)
    assert result.x_adv.dtype == dtype and result.x_adv.shape == x.shape
    assert result.x_adv.min() >= 0 and result.x_adv.max() <= 1
    np.testing.assert_array_equal(x, before)
    assert result.status[1] == "already_wrong" and (result.status == "already_wrong").sum() == 1
    np.testing.assert_array_equal(result.x_adv[1], x[1])
    np.testing.assert_array_equal(result.success, subjects.predicted(model, result.x_adv) != y)
    assert result.queries[1] == 1 and (np.delete(result.queries, 1) > 1).all()
    assert not result.extra["interrupted"]

    order = np.random.default_rng(0).permutation(samples)
    shuffled = attack(model, x[order], y[order], **options)
    alone = attack(model, x[:1], y[:1], **options)
    tolerance = 0 if not numba.config.DISABLE_JIT else 1e-5  # NumPy multiplies one row otherwise than many
    np.testing.assert_allclose(shuffled.x_adv, result.x_adv[order], rtol=0, atol=tolerance)
    np.testing.assert_allclose(alone.x_adv, result.x_adv[:1], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(alone.queries, result.queries[:1])
    return result


def ends_on_ctrl_c(attack, after, **options):
    """An interruption in the callback ends the attack: what was found stands, and the result says so."""
    calls = []

    def interrupt(*_):
        calls.append(None)
        if len(calls) == after:
            raise KeyboardInterrupt

    result = attack(*subject(3), callback=interrupt, **options)
    assert result.extra["interrupted"] and len(result.trace) == after
    assert result.x_adv.min() >= 0 and result.x_adv.max() <= 1
    return result


def runner_up(model, x):
    """The class with the second largest logit, which is the easiest target."""
    return model(minigrad.Tensor(x)).data.argsort(1)[:, -2]


def two_classes(samples=5, features=16, seed=3):
    """A linear model of two classes, images near the middle of the box, their classes, |f| and w: closed forms hold."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(2, features))
    model = subjects.linear(weight, -0.5 * weight.sum(1))  # the boundary passes through the middle of the box
    x = generator.uniform(0.45, 0.55, (samples, 1, 4, features // 4))
    w = weight[1] - weight[0]
    logits = model(minigrad.Tensor(x)).data
    return model, x, logits.argmax(1), np.abs(logits[:, 1] - logits[:, 0]), w
