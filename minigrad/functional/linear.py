"""Products: dense layers, Einstein's summation, embedding, attention."""
from math import prod

import numpy as np

from .. import ops
from ..ops.arrange import expand, reshape, to, transpose
from ..ops.elementwise import as_tensor
from ..ops.methods import where
from ..tensor import Tensor
from .activation import softmax
from .arguments import floats, operands
from .norm import dropout

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def linear(x, weight, bias=None):
    """x @ weight.T + bias.

    Parameters
    ----------
    x : Tensor or ndarray of shape (..., in)
    weight : Tensor or ndarray of shape (out, in)
    bias : Tensor or ndarray of shape (out,), optional

    Returns
    -------
    Tensor of shape (..., out)
    """
    x = floats("linear", x)
    weight, *bias = operands("linear", x, weight=weight, bias=bias)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: x has shape {x.shape}, weight {weight.shape} expects its last axis to be "
                         f"{weight.shape[-1] if weight.ndim else '?'}; check in_features, or flatten x first")
    if bias and bias[0].shape != weight.shape[:1]:
        raise ValueError(f"linear: bias has shape {bias[0].shape}, expected {weight.shape[:1]} for weight "
                         f"{weight.shape}")
    if x.ndim == 2:
        return ops.Linear()(x, weight, *bias)
    rows = reshape(x, prod(x.shape[:-1]), x.shape[-1])
    return reshape(ops.Linear()(rows, weight, *bias), *x.shape[:-1], weight.shape[0])


def embedding(indices, weight, padding_idx=None):
    """Row weight[i] for every index i; the row `padding_idx` gets no gradient."""
    indices = np.asarray(indices)
    weight = floats("embedding", weight, "weight")
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight has shape {weight.shape}, expected (number of embeddings, dimension)")
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices have dtype {indices.dtype}, expected integers; indices come first, then "
                        "weight")
    if indices.size and not 0 <= indices.min() <= indices.max() < len(weight):
        raise ValueError(f"embedding: indices span {indices.min()}..{indices.max()}, expected 0..{len(weight) - 1} "
                         f"(weight {weight.shape})")
    if padding_idx is not None:
        if not -len(weight) <= padding_idx < len(weight):
            raise ValueError(f"embedding: padding_idx is {padding_idx}, expected a row of weight {weight.shape}")
        weight = where((np.arange(len(weight)) == padding_idx % len(weight))[:, None], weight.detach(), weight)
    return weight[indices]


def einsum(subscripts, *operands):
    """Einstein's summation, as `numpy.einsum`: letters name axes, letters missing from the output are summed.

    Ellipses and a letter twice in one term (a diagonal or trace) are understood.
    """
    xs = [as_tensor(x, what=f"einsum: operand {i}") for i, x in enumerate(operands)]
    terms, output = _explicit(subscripts, xs)
    dtype = np.result_type(*(x.dtype for x in xs))
    xs = [to(x, dtype) for x in xs]
    for i in range(len(xs)):
        for letter in dict.fromkeys(terms[i]):
            while terms[i].count(letter) > 1:  # a diagonal is a product with the identity
                other = next(c for c in _LETTERS if c not in "".join(terms) + output)
                size = xs[i].shape[terms[i].index(letter)]
                terms[i] = terms[i][::-1].replace(letter, other, 1)[::-1]
                terms.append(letter + other)
                xs.append(Tensor(np.eye(size, dtype=xs[i].dtype)))
    return ops.Einsum(",".join(terms) + "->" + output)(*xs)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, *,
                                 rng=None):
    """softmax(query @ key.T * scale + mask) @ value. Vaswani et al. 2017.

    Parameters
    ----------
    query, key, value : Tensor of shapes (..., L, E), (..., S, E), (..., S, V)
    attn_mask : bool array (True takes part) or float Tensor (added), broadcast to (..., L, S)
    dropout_p : float
        Applied to the attention weights whenever it is above 0.
    is_causal : bool
        Let position i see positions up to i only.
    scale : float, optional
        1 / sqrt(E) if left out.
    """
    query = floats("scaled_dot_product_attention", query, "query")
    key, value = operands("scaled_dot_product_attention", query, "query", key=key, value=value)
    vectors = min(query.ndim, key.ndim, value.ndim) < 2
    if vectors or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"scaled_dot_product_attention: query {query.shape}, key {key.shape} and value {value.shape} "
            "do not fit: expected (..., L, E), (..., S, E) and (..., S, V)"
        )
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    scores = query @ transpose(key, -2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None:
        mask = as_tensor(attn_mask, what="scaled_dot_product_attention: attn_mask")
        if mask.dtype.kind not in "fb":
            raise TypeError(
                f"scaled_dot_product_attention: attn_mask has dtype {mask.dtype}, expected bool (True "
                "takes part) or float (added to the scores)"
            )
        try:
            mask = expand(mask, scores.shape)
        except ValueError:
            raise ValueError(
                f"scaled_dot_product_attention: attn_mask has shape {mask.shape}, which does not "
                f"broadcast to the scores' {scores.shape}"
            ) from None
        scores = where(mask, scores, -np.inf) if mask.dtype == bool else scores + to(mask, scores.dtype)
    lost = np.isneginf(scores.data).all(-1, keepdims=True)  # positions that may see nothing get zeros, not NaN
    weights = where(lost, 0, softmax(where(lost, 0, scores), -1)) if lost.any() else softmax(scores, -1)
    return (dropout(weights, dropout_p, rng=rng) if dropout_p else weights) @ value


def _explicit(subscripts, xs):
    """The terms and the output as letters only: spaces, ellipses and a missing output filled in."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(xs)}")
    spare = [c for c in _LETTERS if c not in subscripts]
    longest = max((x.ndim - len(t.replace("...", "")) for t, x in zip(terms, xs, strict=True) if "..." in t), default=0)
    rest = "".join(spare[:longest])
    if not arrow:
        letters = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        output = ("..." if "..." in left else "") + "".join(letters)
    full = []
    for term, x in zip(terms, xs, strict=True):
        missing = x.ndim - len(term.replace("...", ""))
        term = term.replace("...", rest[longest - missing:] if missing else "")
        if len(term) != x.ndim:
            raise ValueError(f"einsum: term {term!r} of {subscripts!r} names {len(term)} axes, the operand has shape "
                             f"{x.shape}")
        full.append(term)
    sizes = {}
    for term, x in zip(full, xs, strict=True):
        for c, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                raise ValueError(f"einsum: axis {c!r} of {subscripts!r} has lengths {sizes[c]} and {n} "
                                 f"(operands {[x.shape for x in xs]})")
    output = output.replace("...", rest)
    if not set(output) <= set(sizes) or len(set(output)) < len(output):
        raise ValueError(f"einsum: the output {output!r} of {subscripts!r} must name axes of the operands, each once")
    return full, output
