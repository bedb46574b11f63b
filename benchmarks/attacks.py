"""Workloads: attacks on 100 images and a trained `mnist_cnn`, in attacks and in Foolbox, with the same settings.

How many steps DeepFool and Carlini-Wagner take depends on the network, so it has to be a trained one, and it is the
same for both. Carlini-Wagner gets 5 searches of 100 steps (its default, 9 of 10,000, would take hours); nothing else
is cut short.
"""
import numpy as np

from .digits import setting

IMAGES, EPS = 100, 0.3
ATTACKS = ("fgsm", "pgd", "deepfool", "carlini_wagner", "ddn", "fmn")
OPTIONS = {
    "fgsm": {},
    "pgd": {"steps": 40},
    "deepfool": {"steps": 50},
    "carlini_wagner": {"binary_search_steps": 5, "steps": 100, "initial_const": 1.0},
    "ddn": {"steps": 100},
    "fmn": {"steps": 100},
}


def minigrad(attack, run):
    """The attack of attacks."""
    import attacks

    model, x, y = setting(run, IMAGES)
    options = OPTIONS[attack] | ({"eps": EPS} if attack in ("fgsm", "pgd") else {})
    if attack == "pgd":
        options["rng"] = np.random.default_rng(1)
    call = getattr(attacks, attack)
    return lambda: call(model, x, y, **options).distance["l2"]


def foolbox(attack, run):
    """The attack of Foolbox."""
    import foolbox as fb
    import torch

    from .attribution import twin
    from .training import threads

    torch.set_num_threads(threads())
    model, x, y = setting(run, IMAGES)
    peer = {"fgsm": fb.attacks.LinfFastGradientAttack, "pgd": fb.attacks.LinfProjectedGradientDescentAttack,
            "deepfool": fb.attacks.L2DeepFoolAttack, "carlini_wagner": fb.attacks.L2CarliniWagnerAttack,
            "ddn": fb.attacks.DDNAttack, "fmn": fb.attacks.L2FMNAttack}[attack](**OPTIONS[attack])
    net = fb.PyTorchModel(twin(model), bounds=(0, 1), device="cpu")
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    eps = EPS if attack in ("fgsm", "pgd") else None

    def call():
        images = peer(net, x, y, epsilons=eps)[1]
        return (images - x).flatten(1).norm(dim=1).numpy()

    return call
