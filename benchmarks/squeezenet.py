"""Workload: answers of SqueezeNet 1.0, and the gradient of their sum with respect to the photograph; equal weights."""
import numpy as np

from .layers import INPUTS

NETWORK = "squeezenet1_0"


def _setting(batch):
    import minigrad

    rng = np.random.default_rng(0)
    return minigrad.models.create(NETWORK, rng=rng).eval(), rng.random((batch, *INPUTS[NETWORK]), np.float32)


def minigrad(batch):
    """SqueezeNet in minigrad."""
    import minigrad

    model, images = _setting(batch)

    def forward():
        with minigrad.no_grad():
            return model(images).data

    def gradient():
        x = minigrad.Tensor(images, requires_grad=True)
        return minigrad.grad(model(x), x).data

    return {"forward": forward, "input gradient": gradient}


def torch(batch):
    """SqueezeNet in PyTorch, channel after channel in memory."""
    return _torch(batch, channels_last=False)


def torch_channels_last(batch):
    """SqueezeNet in PyTorch with channels-last memory."""
    return _torch(batch, channels_last=True)


def _torch(batch, channels_last):
    import torch

    from .training import threads

    torch.set_num_threads(threads())
    model, images = _setting(batch)
    net, images = twin(model), torch.from_numpy(images)
    if channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)

    def forward():
        with torch.inference_mode():
            return net(images).numpy()

    def gradient():
        x = images.detach().requires_grad_()
        return torch.autograd.grad(net(x).sum(), x)[0].numpy()

    return {"forward": forward, "input gradient": gradient}


def twin(model):
    """The same SqueezeNet in PyTorch, whose weights need no gradient."""
    import torch

    from .torch_zoo import SqueezeNet

    net = SqueezeNet("1_0").eval().requires_grad_(False)
    net.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in model.state_dict().items()})
    return net
