"""Methods of removal beside Captum; where Captum errs, what it returns."""

import warnings

import numpy as np
import pytest

import explain
from tests.explain import nets

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")

F64 = {"rtol": 1e-6, "atol": 1e-9}
F32 = {"rtol": 1e-4, "atol": 2e-6}
CELLS = explain.grid_mask(nets.SHAPE, 4)
TARGET = np.array([0, 3, 1])


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def pair(name, dtype=np.float64, count=3):
    """A network in both libraries, and inputs."""
    ours = nets.build(name, dtype=dtype)
    theirs = nets.ALL[name](torch).to(torch.float64 if dtype == np.float64 else torch.float32).eval()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs, nets.images(count, dtype=dtype)


def close(ours, theirs, **tolerances):
    np.testing.assert_allclose(ours.values, theirs.detach().numpy(), **tolerances)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, F64), (np.float32, F32)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", list(nets.ALL))
def test_occlusion_equals_captums(name, dtype, tolerance):
    """With windows cut off at the edge and averaged where they overlap."""
    ours, theirs, x = pair(name, dtype)
    baseline = nets.images(seed=6, dtype=dtype)
    for window, stride in (
        ((2, 5, 4), (2, 3, 4)),
        ((1, 4, 4), (1, 3, 3)),
        ((2, 3, 3), (1, 2, 1)),
        ((2, 12, 5), (1, 1, 4)),
    ):
        options = {"sliding_window_shapes": window, "strides": stride}
        found = attr.Occlusion(theirs).attribute(
            torch.tensor(x), baselines=torch.tensor(baseline), target=torch.tensor(TARGET), **options
        )
        for fast in (True, False):
            close(explain.occlusion(ours, x, TARGET, baselines=baseline, fast=fast, **options), found, **tolerance)


@pytest.mark.parametrize("name", list(nets.ALL))
def test_ablation_equals_captums(name):
    ours, theirs, x = pair(name)
    for mask in (None, CELLS, np.arange(2).reshape(1, 2, 1, 1)):
        found = attr.FeatureAblation(theirs).attribute(
            torch.tensor(x),
            baselines=0.25,
            target=torch.tensor(TARGET),
            feature_mask=None if mask is None else torch.tensor(mask),
            perturbations_per_eval=8,
        )
        close(explain.feature_ablation(ours, x, TARGET, baselines=0.25, feature_mask=mask), found, **F64)


@pytest.mark.parametrize("name", ["cnn", "smooth"])
def test_permutation_equals_captums(name):
    ours, theirs, x = pair(name, count=4)
    target, drawn = np.array([0, 3, 1, 2]), []

    def permute(values, mask):
        drawn.append(torch.randperm(len(values)))
        return torch.where(mask.bool(), values[drawn[-1]], values)

    found = attr.FeaturePermutation(theirs, permute).attribute(
        torch.tensor(x), target=torch.tensor(target), feature_mask=torch.tensor(CELLS)
    )
    orders = np.stack([p.numpy() for p in drawn[-9:]])
    close(explain.feature_permutation(ours, x, target, feature_mask=CELLS, permutations=orders), found, **F64)


@pytest.mark.parametrize("name", ["strided", "normed"])
def test_shapley_values_equal_captums(name):
    """Captum walks all orders: 120 of 5 features with 5 forward passes each, where 32 coalitions suffice.

    It adds them up in float32, whatever the model's dtype.
    """
    ours, theirs, x = pair(name)
    mask, calls = explain.grid_mask(nets.SHAPE, (12, 3)), []
    mask[..., :6, :3] = 4
    found = attr.ShapleyValues(lambda t: calls.append(len(t)) or theirs(t)).attribute(
        torch.tensor(x), target=torch.tensor(TARGET), feature_mask=torch.tensor(mask), perturbations_per_eval=5
    )
    exact = explain.shapley_values(ours, x, TARGET, feature_mask=mask)
    close(exact, found, **F32)
    assert exact.forwards == 3 * (32 + 1) and sum(calls) > 15 * exact.forwards


def test_sampling_equals_captums_for_the_same_orders():
    ours, theirs, x = pair("cnn")
    orders = np.stack([np.random.default_rng(s).permutation(9) for s in range(7)])
    sampling = attr.ShapleyValueSampling(theirs)
    sampling.permutation_generator = lambda features, samples: iter(orders.tolist())
    found = sampling.attribute(
        torch.tensor(x), target=torch.tensor(TARGET), feature_mask=torch.tensor(CELLS), n_samples=7, baselines=0.5
    )
    close(
        explain.shapley_sampling(ours, x, TARGET, feature_mask=CELLS, permutations=orders, baselines=0.5), found, **F64
    )


def masks(table):
    """A perturbation function of Captum's LIME that gives the rows of a table."""

    def generate(original, **options):
        for row in table:
            yield torch.tensor(row[None].astype(np.int64))

    return generate


def captums_lime(model, x, table, weigh, surrogate, baseline=0.0):
    """Captum's LIME, with our masks and weights, of the first sample, class 2: the coefficients."""
    lime = attr.Lime(
        model,
        interpretable_model=surrogate,
        similarity_func=lambda original, perturbed, interpretable, **options: torch.tensor(weigh(interpretable)),
        perturb_func=masks(table),
    )
    found = lime.attribute(
        torch.tensor(x[:1]),
        target=2,
        feature_mask=torch.tensor(CELLS),
        n_samples=len(table),
        baselines=baseline,
        return_input_shape=False,
    )
    return found[0].numpy()


@pytest.mark.parametrize("name", list(nets.ALL))
def test_lime_equals_captums_with_the_same_masks_kernel_and_ridge(name):
    from captum._utils.models.linear_model import SkLearnLinearModel

    ours, theirs, x = pair(name)
    table = np.random.default_rng(0).random((60, 9)) < 0.5

    def weigh(row):
        return float(np.exp(-((1 - np.sqrt(row.numpy().mean())) ** 2) / 0.25**2 / 2))

    surrogate = SkLearnLinearModel(sklearn_module="linear_model.Ridge", alpha=0.7)
    found = captums_lime(theirs, x, table, weigh, surrogate, 0.5)
    mine = explain.lime(ours, x[:1], 2, feature_mask=CELLS, coalitions=table, ridge=0.7, baselines=0.5)
    np.testing.assert_allclose(mine.extra["feature_values"][0], found, rtol=1e-3, atol=1e-5)  # Captum's LIME is float32


def test_captums_lime_explains_a_small_score_with_zeros():
    ours, theirs, x = pair("smooth", np.float32)
    found = attr.Lime(lambda t: theirs(t) * 0.1).attribute(
        torch.tensor(x[:1]), target=2, feature_mask=torch.tensor(CELLS), n_samples=200
    )
    assert not found.any(), "Captum's default"
    mine = explain.lime(lambda t: ours(t) * 0.1, x[:1], 2, feature_mask=CELLS, n_samples=200)
    assert mine.values.all()


def test_captums_kernel_shap_is_complete_only_nearly():
    """It weighs the two ends with 10^6 in place of the constraint, and needs luck with few samples."""
    ours, theirs, x = pair("cnn", np.float32)
    torch.manual_seed(0)
    model, kernel = lambda t: theirs(t) * 100, attr.KernelShap(lambda t: theirs(t) * 100)
    found = kernel.attribute(
        torch.tensor(x[:1]),
        target=0,
        feature_mask=torch.tensor(CELLS),
        n_samples=300,
        baselines=0.5,
        return_input_shape=False,
    )
    promised = (model(torch.tensor(x[:1])) - model(torch.full((1, *nets.SHAPE), 0.5)))[0, 0]
    theirs_delta = float(found.sum() - promised)
    mine = explain.kernel_shap(lambda t: ours(t) * 100, x[:1], 0, feature_mask=CELLS, n_samples=300, baselines=0.5)
    assert abs(mine.delta[0]) < 1e-5 * abs(float(promised)) and abs(mine.delta[0]) < abs(theirs_delta)
    true = explain.shapley_values(lambda t: ours(t) * 100, x[:1], 0, feature_mask=CELLS, baselines=0.5)
    np.testing.assert_allclose(found[0], true.extra["feature_values"][0], atol=0.2 * np.abs(found).max())
    few = kernel.attribute(torch.tensor(x[:1]), target=0, n_samples=25, return_input_shape=False)
    assert few.shape == (1, 288), "25 samples for 288 features: Captum answers"
    with pytest.raises(ValueError, match="kernel_shap: 25 coalitions tell only .* of 288 features apart"):
        explain.kernel_shap(ours, x[:1], 0, feature_mask="values", n_samples=25)


def test_kernel_shap_is_the_limit_of_captums_weights():
    """The same coalitions, in the same regression: the larger the weight of the ends, the nearer to the constraint."""
    ours, theirs, x = pair("cnn")
    table = np.random.default_rng(0).random((80, 9)) < 0.5
    table = table[table.any(1) & ~table.all(1)]
    ends = np.stack([np.ones(9, bool), np.zeros(9, bool)])
    mine = explain.kernel_shap(ours, x[:1], 2, feature_mask=CELLS, coalitions=table).extra["feature_values"][0]
    from captum._utils.models.linear_model import SkLearnLinearRegression

    far, near = (
        np.abs(captums_lime(theirs, x, np.concatenate([ends, table]), weigh, SkLearnLinearRegression()) - mine).max()
        for weigh in (
            lambda row: 1.0,
            lambda row: 1e4 if row.float().mean() in (0, 1) else 1.0,
        )
    )
    assert near < 1e-2 * np.abs(mine).max() and near < far / 20
