"""verify: it holds on every kind of network, says where it does not apply, and catches what is wrong."""

import numpy as np
import pytest

import explain
from explain import identities, verify
from minigrad import nn

from . import nets, trained

APPLY_TO = {  # what must be found not applicable, and nothing else
    "cnn": {"Grad-CAM = CAM after global averaging"},
    "strided": {"Grad-CAM = CAM after global averaging"},
    "normed": {"LRP alpha 1 beta 0 = z+ where x >= 0"},
    "smooth": {
        "LRP-0 = input x gradient",
        "no biases: integrated gradients = DeepLIFT = input x gradient",
        "LRP alpha 1 beta 0 = z+ where x >= 0",
        "Grad-CAM = CAM after global averaging",
        "integrated gradients, exact: complete",
    },
    "branched": {"sum of conductance = sum of integrated gradients", "Grad-CAM = CAM after global averaging"},
}


@pytest.mark.parametrize("name", APPLY_TO)
def test_the_identities_hold_on_every_kind_of_network(name):
    report = verify(nets.build(name), nets.images(2), rng=np.random.default_rng(7))
    assert report.passed and report, f"\n{report}"
    assert {c.name for c in report.checks if c.verdict == "not applicable"} == APPLY_TO[name], f"\n{report}"
    assert all(c.residual < 1e-9 for c in report.checks if c.verdict == "holds"), f"\n{report}"


def test_a_trained_network_holds_and_is_left_as_it_was():
    model, x = trained.cnn(batch_norm=True)
    model = model.to(np.float32).train()
    before = {k: (a.tobytes(), a.dtype) for k, a in model.state_dict().items()}
    try:
        report = verify(model, x[:2].astype(np.float32), rng=np.random.default_rng(7))
        assert report, f"\n{report}"
        assert report["no biases: integrated gradients = DeepLIFT = input x gradient"].verdict == "holds"
        assert {k: (a.tobytes(), a.dtype) for k, a in model.state_dict().items()} == before
        assert all(m.training for m in model.modules())
    finally:
        model.to(np.float64).eval()


def test_a_linear_model_is_its_own_tangent():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(300, 4)).to(np.float64)
    report = verify(model, nets.images(2), rng=np.random.default_rng(7))
    assert report, f"\n{report}"
    assert report["linear model: all = w (x - x')"].note == ""


def test_cam_on_networks_that_end_in_global_averaging():
    class Mean(nn.Module):
        def __init__(self):
            self.conv, self.relu, self.head = nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.relu(self.conv(x)).mean((2, 3)))

    pooled = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    maps_of_classes = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for model, layer in ((Mean(), "relu"), (pooled, "1"), (maps_of_classes, "1")):
        check = verify(model.to(np.float64), nets.images(2), rng=np.random.default_rng(7))[
            "Grad-CAM = CAM after global averaging"
        ]
        assert check.verdict == "holds" and check.note == f"layer '{layer}'"


def wrong(method, change):
    """The method with its values changed."""

    def changed(*given, **options):
        found = method(*given, **options)
        found.values = change(found.values)
        return found

    return changed


@pytest.mark.parametrize(
    "method, name",
    [
        ("input_x_gradient", "LRP-0 = input x gradient"),
        ("deep_lift", "no biases: integrated gradients = DeepLIFT = input x gradient"),
        ("integrated_gradients", "linear model: all = w (x - x')"),
        ("occlusion", "occlusion by its own stride = ablation"),
        ("integrated_gradients", "sum of conductance = sum of integrated gradients"),
        ("kernel_shap", "KernelSHAP of all coalitions = Shapley"),
        ("deep_lift_shap", "DeepLIFT SHAP of one baseline = DeepLIFT"),
    ],
)
def test_an_error_in_a_method_is_found(method, name, monkeypatch):
    """One part in ten thousand too much, in one sample."""
    factor = np.array([1, 1.0001]).reshape(2, 1, 1, 1)
    monkeypatch.setattr(identities, method, wrong(getattr(explain, method), lambda values: values * factor))
    report = verify(nets.build("cnn"), nets.images(2), rng=np.random.default_rng(7))
    assert report[name].verdict == "FAILS" and not report.passed and "FAILS" in str(report)


@pytest.mark.parametrize("method, name", [("deep_lift", "DeepLIFT: complete"), ("lrp", "LRP-epsilon: conserved")])
def test_a_residual_is_found(method, name, monkeypatch):
    real = getattr(explain, method)

    def leaky(*given, **options):
        found = real(*given, **options)
        found.delta = found.delta + 0.01
        if "ledger" in found.extra:
            found.extra["ledger"].given = found.extra["ledger"].given + 0.01
        return found

    monkeypatch.setattr(identities, method, leaky)
    assert verify(nets.build("cnn"), nets.images(2), rng=np.random.default_rng(7))[name].verdict == "FAILS"


def test_the_report_is_a_table():
    text = str(verify(nets.build("smooth"), nets.images(1), rng=np.random.default_rng(7)))
    assert text.splitlines()[0].split() == ["identity", "residual", "verdict"]
    assert "not applicable: only ReLUs and max-pools may bend the network; this has Sigmoid in '1'" in text
    assert text.splitlines()[-1].endswith("5 not applicable")


def test_mistakes():
    model, x = nets.build("cnn"), nets.images(1)
    with pytest.raises(TypeError, match="verify: model is function, expected a Module"):
        verify(lambda x: model(x), x)
    with pytest.raises(ValueError, match="verify: tolerance is 0"):
        verify(model, x, tolerance=0)
    with pytest.raises(ValueError, match="verify: no module at 'nowhere'; nearest"):
        verify(model, x, layer="nowhere")
    with pytest.raises(ValueError, match="verify: x goes from"):
        verify(model, x * 255)
    with pytest.raises(ValueError, match="expected pictures"):
        verify(nn.Sequential(nn.Linear(3, 2)).to(np.float64), np.ones((2, 3)))


def test_a_path_with_too_many_pieces_is_not_followed(monkeypatch):
    monkeypatch.setattr(identities, "UNITS", 100)
    check = verify(nets.build("cnn"), nets.images(1), rng=np.random.default_rng(7))[
        "integrated gradients, exact: complete"
    ]
    assert check.verdict == "not applicable" and "too many to follow (more than 100)" in check.note


@pytest.mark.parametrize("bend", [(), (nn.LeakyReLU(0.1),)])
def test_a_max_pool_that_falls_below_zero_has_no_winner_in_a_baseline_of_zeros(bend):
    """Integrated gradients are still input x gradient, DeepLIFT need not be: it says so and does not fail."""
    rng = np.random.default_rng(0)
    layers = nn.Conv2d(2, 4, 3, bias=False, rng=rng), *bend, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 5, rng=rng)
    report = verify(nn.Sequential(*layers), nets.images(1), rng=np.random.default_rng(0))
    assert report, f"\n{report}"
    if not bend:
        check = report["no biases: integrated gradients = DeepLIFT = input x gradient"]
        assert check.verdict == "holds" and "without DeepLIFT" in check.note


def test_inputs_and_network_may_have_different_precision():
    rng = np.random.default_rng(1)  # seed 0 would draw the very images as baselines
    model = nn.Sequential(nn.Conv2d(2, 4, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(400, 5, rng=rng))
    assert verify(model, nets.images(1).astype(np.float64), rng=rng)
    assert verify(model.to(np.float64), nets.images(1).astype(np.float32), rng=rng)
