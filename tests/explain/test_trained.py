"""What is promised of explanations, on the trained networks of the experiments."""

import numpy as np
import pytest

import explain

from . import trained

pytestmark = pytest.mark.compiled

DATASETS = ["digits", "mnist", "fashion-mnist"]
RESIDUALS = {
    "integrated gradients, exact": lambda *x: explain.integrated_gradients(*x, method="exact").delta,
    "DeepLIFT": lambda *x: explain.deep_lift(*x).delta,
    "DeepLIFT, RevealCancel": lambda *x: explain.deep_lift(*x, rule="reveal_cancel").delta,
    "LRP-epsilon, with its sinks": lambda *x: explain.lrp(*x, ledger=True).extra["ledger"].residual,
}


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", RESIDUALS)
def test_complete_methods_leave_less_than_a_billionth_of_any_sample(method, dataset):
    residual = RESIDUALS[method](*trained.mnist_cnn(dataset))
    assert residual.shape == (4,) and np.abs(residual).max() < 1e-9


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_identity_holds(dataset):
    model, x, y = trained.mnist_cnn(dataset)
    report = explain.verify(model, x[:2], y[:2], rng=np.random.default_rng(0))
    assert report, f"\n{report}"
    assert all(check.residual < 1e-9 for check in report.checks if check.verdict == "holds"), f"\n{report}"
