"""ViT: an image as a sentence of patches, read by a transformer. Dosovitskiy et al. 2021.

A convolution whose stride is its window turns each patch into a vector (`conv_proj`). A learnt vector, the class token,
is put in front, a learnt vector for each position is added, and after the encoder the class token holds what the head
needs. State dicts are torchvision's: ``class_token``, ``conv_proj``, ``encoder.layers.encoder_layer_0.mlp.0``,
``heads.head``.
"""
import numpy as np

from .. import nn
from ..functional import cat
from .registry import register
from .start import IMAGENET_MEAN, IMAGENET_STD, channels


class EncoderBlock(nn.Module):
    """Attention between the patches, then two dense layers for each; both add to what they were given."""

    def __init__(self, hidden, heads, mlp, dropout, rng):
        self.ln_1 = nn.LayerNorm(hidden, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(hidden, heads, rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.ln_2 = nn.LayerNorm(hidden, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(hidden, mlp, rng=rng), nn.GELU(), nn.Dropout(dropout, rng=rng),
                                 nn.Linear(mlp, hidden, rng=rng), nn.Dropout(dropout, rng=rng))

    def forward(self, x):
        """(N, L, hidden), the shape stays."""
        x = x + self.dropout(self.self_attention(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added, then the blocks one after the other, then a layer norm."""

    def __init__(self, length, depth, hidden, heads, mlp, dropout, rng):
        self.pos_embedding = nn.Parameter(np.zeros((1, length, hidden), np.float32))
        self.dropout = nn.Dropout(dropout, rng=rng)
        blocks = {f"encoder_layer_{i}": EncoderBlock(hidden, heads, mlp, dropout, rng) for i in range(depth)}
        self.layers = nn.Sequential(blocks)
        self.ln = nn.LayerNorm(hidden, eps=1e-6)
        nn.init.normal(self.pos_embedding, 0, 0.02, rng)

    def forward(self, x):
        """(N, L, hidden), the shape stays."""
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class ViT(nn.Module):
    """Patches to vectors, the encoder, and a dense layer on the class token."""

    def __init__(self, image_size, patch_size, depth, hidden, heads, mlp, num_classes, dropout, mean, std, rng):
        if image_size % patch_size:
            raise ValueError(f"ViT: patch_size is {patch_size}, expected a divisor of image_size "
                             f"{image_size}; change one of them")
        self.image_size = image_size
        self.class_token = nn.Parameter(np.zeros((1, 1, hidden), np.float32))
        self.standardize = nn.Standardize(mean, std)
        self.conv_proj = nn.Conv2d(channels(mean, std), hidden, patch_size, patch_size, rng=rng)
        self.encoder = Encoder((image_size // patch_size) ** 2 + 1, depth, hidden, heads, mlp, dropout, rng)
        self.heads = nn.Sequential({"head": nn.Linear(hidden, num_classes, rng=rng)})

    def forward(self, x):
        """Images (N, C, image_size, image_size) in [0, 1] to logits (N, num_classes)."""
        if x.shape[2:] != (self.image_size, self.image_size):
            raise ValueError(f"ViT: x has shape {x.shape}, expected images of {self.image_size}x{self.image_size}: "
                             f"each patch has its own position vector; resize them with functional.interpolate, or "
                             f"build the model with another image_size")
        x = self.conv_proj(self.standardize(x)).flatten(2).transpose(1, 2)  # (N, hidden, h, w) -> (N, h w, hidden)
        x = cat([self.class_token.expand(len(x), -1, -1), x], 1)            # (N, 1 + h w, hidden)
        return self.heads(self.encoder(x)[:, 0])

    def load_state_dict(self, state, strict=True):
        """As in Module; the older names torchvision's published files have for ``mlp.0`` and ``mlp.3`` will do, too."""
        names = {name: name.replace("mlp.linear_1.", "mlp.0.").replace("mlp.linear_2.", "mlp.3.") for name in state}
        return super().load_state_dict({names[name]: array for name, array in state.items()}, strict)


@register
def vit_b_16(num_classes=1000, image_size=224, dropout=0.0, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """ViT-Base with patches of 16x16: 86,567,656 parameters for 224x224 pixels and 1000 classes.

    Parameters
    ----------
    num_classes : int
    image_size : int
        Height and width of the images; a multiple of 16.
    dropout : float
        Probability with which activations are dropped in training.
    mean, std : sequence of float
        Of the pixels in [0, 1], one number a channel.
    rng : np.random.Generator, optional
        For the first weights and dropout.
    """
    return ViT(image_size, 16, 12, 768, 12, 3072, num_classes, dropout, mean, std, rng)


@register
def vit_tiny(num_classes=10, image_size=28, patch_size=4, depth=4, hidden=64, heads=4, mlp=128, dropout=0.0,
             mean=(0.5,), std=(0.25,), rng=None):
    """A ViT for small images that trains on a CPU: 139,018 parameters for grey images of 28x28 and 10 classes.

    Parameters
    ----------
    num_classes : int
    image_size, patch_size : int
        Heights and widths; `patch_size` divides `image_size`.
    depth : int
        Encoder blocks.
    hidden, heads, mlp : int
        Length of each patch's vector, attention heads (a divisor of it), units of the blocks' hidden dense layer.
    dropout, mean, std, rng
        As in `vit_b_16`; for colour give ``mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)``.
    """
    return ViT(image_size, patch_size, depth, hidden, heads, mlp, num_classes, dropout, mean, std, rng)
