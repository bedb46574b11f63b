"""Workload: each kernel on the layers of a network, forward and the gradients, beside PyTorch's.

Both get images whose channels lie side by side in memory, or (`torch`) one channel after the other, as PyTorch prefers
by default. What a kernel makes is thrown away.
"""
import numpy as np

from .layers import images, layers


def minigrad(network, batch):
    """The kernels of minigrad."""
    from minigrad import kernels, ops

    calls = {}
    for name, op, arrays, g in cases(network, batch):
        x, *others = arrays
        if isinstance(op, ops.Conv2d):
            w, b, window = kernels.weight_layout(others[0]), others[1], op.window
            calls[f"{name}: forward"] = lambda x=x, w=w, b=b, s=window: kernels.conv2d(x, w, b, *s)
            calls[f"{name}: input gradient"] = (
                lambda g=g, w=w, n=x.shape, s=window: kernels.conv2d_input_grad(g, w, n, *s))
            calls[f"{name}: weight gradient"] = (
                lambda g=g, x=x, n=w.shape, s=window: (kernels.conv2d_weight_grad(x, g, n, *s), kernels.channel_sum(g)))
        elif isinstance(op, ops.Linear):
            layer, w = op, kernels.weight_layout(others[0])
            calls[f"{name}: forward"] = lambda op=layer, x=x, w=w, b=others[1]: op.forward(x, w, b)
            calls[f"{name}: input gradient"] = lambda g=g, w=w: kernels.matmul(g, w)
            calls[f"{name}: weight gradient"] = lambda g=g, x=x: (kernels.matmul(g.T, x), g.sum(0))
        elif isinstance(op, ops.MaxPool2d):
            calls[f"{name}: forward"] = lambda x=x, s=op.window: kernels.max_pool2d(x, *s)
            calls[f"{name}: forward, winners noted"] = lambda x=x, s=op.window: kernels.max_pool2d_winners(x, *s)
            winners = kernels.max_pool2d_winners(x, *op.window)[1]
            calls[f"{name}: gradient"] = (
                lambda g=g, w=winners, n=x.shape, s=op.window: kernels.route_winners(g, w, n, *s))
        elif isinstance(op, ops.ReLU):
            calls[f"{name}: forward"] = lambda x=x: kernels.relu(x)
            calls[f"{name}: gradient"] = lambda g=g, x=x: kernels.relu_gate(g, x)
        elif isinstance(op, ops.BatchNorm):
            calls |= _batch_norm(name, x, g)
    return calls | _adam(network)


def _batch_norm(name, x, g):
    from minigrad import kernels, ops

    op, weight, bias = ops.BatchNormTraining(), *(np.full(x.shape[1], v, x.dtype) for v in (1, 0))
    moments = kernels.channel_moments(x)
    return {f"{name}: forward": lambda: op.forward(x, weight, bias),
            f"{name}: gradient": lambda: kernels.batch_norm_grads(g, x, moments, weight, op.eps)}


def _adam(network):
    import minigrad

    model = minigrad.models.create(network, rng=np.random.default_rng(0))
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)
    for p in model.parameters():
        p.grad = minigrad.Tensor(np.full_like(p.data, 1e-3))
    return {"Adam: step": optimizer.step}


def torch(network, batch):
    """The kernels of PyTorch, channel after channel in memory."""
    return _torch(network, batch, channels_last=False)


def torch_channels_last(network, batch):
    """The kernels of PyTorch on channels-last memory."""
    return _torch(network, batch, channels_last=True)


def _torch(network, batch, channels_last):
    import torch
    from torch.nn import functional as F

    from minigrad import ops

    from .training import threads

    torch.set_num_threads(threads())
    torch.set_grad_enabled(False)
    aten, calls = torch.ops.aten, {}
    memory = torch.channels_last if channels_last else torch.contiguous_format

    def placed(array):
        given = torch.from_numpy(np.ascontiguousarray(array))
        return given.contiguous(memory_format=memory) if given.ndim == 4 else given

    for name, op, arrays, g in cases(network, batch):
        x, *others = map(placed, arrays)
        g = placed(g)
        if isinstance(op, ops.Conv2d):
            w, b = others
            stride, padding, dilation, groups = op.window
            calls[f"{name}: forward"] = (
                lambda x=x, w=w, b=b, s=(stride, padding, dilation, groups): F.conv2d(x, w, b, *s))
            for what, mask in (("input gradient", [True, False, False]), ("weight gradient", [False, True, True])):
                calls[f"{name}: {what}"] = (
                    lambda g=g, x=x, w=w, m=mask, s=(stride, padding, dilation), n=groups:
                        aten.convolution_backward(g, x, w, [len(w)], *s, False, [0, 0], n, m))
        elif isinstance(op, ops.Linear):
            w, b = others
            calls[f"{name}: forward"] = lambda x=x, w=w, b=b: F.linear(x, w, b)
            calls[f"{name}: input gradient"] = lambda g=g, w=w: g @ w
            calls[f"{name}: weight gradient"] = lambda g=g, x=x: (g.T @ x, g.sum(0))
        elif isinstance(op, ops.MaxPool2d):
            kernel, stride, padding, ceil = op.window
            settings = kernel, stride, padding, 1, ceil
            where = F.max_pool2d(x, *settings, return_indices=True)[1]
            calls[f"{name}: forward"] = lambda x=x, s=settings: F.max_pool2d(x, *s)
            calls[f"{name}: forward, winners noted"] = lambda x=x, s=settings: F.max_pool2d(x, *s, return_indices=True)
            calls[f"{name}: gradient"] = (
                lambda g=g, x=x, i=where, s=(kernel, stride, padding, [1, 1], ceil):
                    aten.max_pool2d_with_indices_backward(g, x, *s, i))
        elif isinstance(op, ops.ReLU):
            calls[f"{name}: forward"] = lambda x=x: torch.relu(x)
            calls[f"{name}: gradient"] = lambda g=g, x=x: aten.threshold_backward(g, x, 0)
        elif isinstance(op, ops.BatchNorm):
            c = x.shape[1]
            weight, bias, mean, variance = torch.ones(c), torch.zeros(c), torch.zeros(c), torch.ones(c)
            _, m, s = aten.native_batch_norm(x, weight, bias, mean, variance, True, 0.1, 1e-5)
            calls[f"{name}: forward"] = (
                lambda x=x, a=(weight, bias, mean, variance): aten.native_batch_norm(x, *a, True, 0.1, 1e-5))
            calls[f"{name}: gradient"] = (
                lambda g=g, x=x, w=weight, a=(mean, variance, m, s):
                    aten.native_batch_norm_backward(g, x, w, *a, True, 1e-5, [True, True, True]))
    return calls | _torch_adam(network, fused=channels_last)


def _torch_adam(network, fused):
    import torch

    import minigrad

    model = minigrad.models.create(network, rng=np.random.default_rng(0))
    parameters = [torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(p.data))) for p in model.parameters()]
    for p in parameters:
        p.grad = torch.full_like(p, 1e-3)
    return {"Adam: step": torch.optim.Adam(parameters, lr=1e-3, fused=fused).step}


def cases(network, batch):
    """The layers that a kernel exists for: a name, the op, its inputs, a cotangent."""
    rng = np.random.default_rng(0)
    for name, layer in named_layers(network, batch):
        arrays = layer.arrays(rng)
        g = images(rng, layer.output) if len(layer.output) == 4 else rng.standard_normal(layer.output, np.float32)
        yield name, layer.op, arrays, g


def named_layers(network, batch):
    """A name, and a layer that a kernel exists for."""
    from minigrad import ops

    options = {"batch_norm": True} if network == "mnist_cnn" else {}
    for layer in layers(network, batch, **options):
        if isinstance(layer.op, (ops.Conv2d, ops.Linear, ops.MaxPool2d, ops.ReLU, ops.BatchNorm)):
            yield f"{layer.path} {type(layer.op).__name__} {'x'.join(map(str, layer.inputs[0]))}", layer
