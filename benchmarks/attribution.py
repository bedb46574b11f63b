"""Workloads: attribution methods on 16 images and a trained `mnist_cnn`, in explain and in Captum, set alike.

Captum evaluates its perturbations one at a time unless told otherwise; here it gets the batches that are fastest for
it: 100 rows of the coalition table, and for occlusion 10 windows of all images.
"""
import numpy as np

from .digits import setting

SIDE, IMAGES = 28, 16
METHODS = ("saliency", "guided_backprop", "deep_lift", "integrated_gradients", "smooth_grad", "gradient_shap",
           "kernel_shap", "lime", "occlusion")


def _setting(run):
    """The model, images, labels, a baseline pool, and a mask of 16 squares of 7x7 pixels."""
    squares = np.kron(np.arange(16).reshape(4, 4), np.ones((7, 7), int))
    return *setting(run, IMAGES), np.zeros((5, 1, SIDE, SIDE), np.float32), squares


def minigrad(method, run):
    """The method of explain."""
    import explain

    model, x, y, pool, squares = _setting(run)
    rng = np.random.default_rng(1)
    calls = {
        "saliency": lambda: explain.saliency(model, x, y),
        "guided_backprop": lambda: explain.guided_backprop(model, x, y),
        "deep_lift": lambda: explain.deep_lift(model, x, y),
        "integrated_gradients": lambda: explain.integrated_gradients(model, x, y, n_steps=50),
        "smooth_grad": lambda: explain.smooth_grad(model, x, y, n_samples=50, stdev=0.15, rng=rng),
        "gradient_shap": lambda: explain.gradient_shap(model, x, y, baselines=pool, n_samples=50, rng=rng),
        "kernel_shap": lambda: explain.kernel_shap(model, x, y, feature_mask=squares, n_samples=500, rng=rng),
        "lime": lambda: explain.lime(model, x, y, feature_mask=squares, n_samples=500, rng=rng),
        "occlusion": lambda: explain.occlusion(model, x, y, sliding_window_shapes=(1, 10, 10), strides=(1, 2, 2)),
    }
    return calls[method]


def captum(method, run):
    """The method of Captum."""
    import warnings

    import torch
    from captum import attr

    from .training import threads

    warnings.simplefilter("ignore")  # it warns of its hooks at every call
    torch.set_num_threads(threads())
    model, x, y, pool, squares = _setting(run)
    net = twin(model)
    x, y, pool, squares = (torch.from_numpy(a) for a in (x, y, pool, squares))
    many = {"feature_mask": squares[None, None], "n_samples": 500, "perturbations_per_eval": 100}
    calls = {
        "saliency": lambda: attr.Saliency(net).attribute(x, target=y),
        "guided_backprop": lambda: attr.GuidedBackprop(net).attribute(x, target=y),
        "deep_lift": lambda: attr.DeepLift(net).attribute(x, target=y),
        "integrated_gradients": lambda: attr.IntegratedGradients(net).attribute(x, target=y, n_steps=50),
        "smooth_grad": lambda: attr.NoiseTunnel(attr.Saliency(net)).attribute(
            x, target=y, nt_samples=50, stdevs=0.15, abs=False),
        "gradient_shap": lambda: attr.GradientShap(net).attribute(x, pool, target=y, n_samples=50),
        "kernel_shap": lambda: [attr.KernelShap(net).attribute(x[i:i + 1], target=y[i:i + 1], **many)
                                for i in range(IMAGES)],
        "lime": lambda: [attr.Lime(net).attribute(x[i:i + 1], target=y[i:i + 1], **many) for i in range(IMAGES)],
        "occlusion": lambda: attr.Occlusion(net).attribute(
            x, (1, 10, 10), strides=(1, 2, 2), target=y, perturbations_per_eval=10),
    }
    return calls[method]


def twin(model):
    """The same `mnist_cnn` in PyTorch, with the same weights."""
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                      nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(), nn.Sequential(nn.Linear(1568, 500), nn.ReLU(), nn.Linear(500, 10))).eval()
    names = {"features": "0", "classifier": "2"}
    net.load_state_dict({f"{names[k.split('.')[0]]}.{k.split('.', 1)[1]}": torch.from_numpy(v)
                         for k, v in model.state_dict().items()})
    return net
