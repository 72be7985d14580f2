"""FLOPs of attentions, of encoders of pictures and of streams, beside those that only average."""

import functools

import torch
from torch import nn

from subtr.claims.configurations import Setting, averaging_of, encoder, frames_for, parts_of, stream
from subtr.claims.sizes import Count, weights
from subtr.cost.measuring import forward_flops
from subtr.encoders.attention import SoftmaxAttention, TransformerBlock
from subtr.encoders.linear_attention import LinearAttention
from subtr.encoders.timesformer import DividedBlock

# Of the model that the report would extend, which is not at hand (section 7.1).
CURRENT_PARAMETERS = 1_984_000_000
# What would be added to it; a network of pictures would replace one that it has.
ADDED = ("multiscale", "hierarchical", "transformer", "tier1")


def products(module: nn.Module, *shape: int) -> int:
    """FLOPs beyond the maps of single tokens: those that compare tokens and sum over them."""
    tokens = torch.zeros(1, *shape, device="meta")
    maps = 2 * tokens[..., 0].numel() * weights(module)
    return forward_flops(module, tokens) - maps


def _attention_products(kind: type[nn.Module], n_frames: int | None = None) -> Count:
    def flops(setting: Setting) -> int:
        with torch.device("meta"):
            return products(kind(512, 8), n_frames or setting.frames_per_tr, 512)

    return flops


def _linear_over_softmax(n_frames: int | None = None) -> Count:
    linear = _attention_products(LinearAttention, n_frames)
    softmax = _attention_products(SoftmaxAttention, n_frames)
    return lambda setting: linear(setting) / softmax(setting)


def _scores(n_heads: int) -> Count:
    """Numbers that softmax attention makes of a TR: each score costs dim / heads products."""
    products_of = _attention_products(SoftmaxAttention)
    # Two products of matrices, two FLOPs a multiplication, 8 heads of 512 / 8 features.
    return lambda setting: products_of(setting) / 4 / 512 * n_heads


def _growth(joint: bool) -> Count:
    """How many times more products four times the tokens cost: twice the frames and patches."""

    def growth(setting: Setting) -> float:
        with torch.device("meta"):
            if joint:
                block = TransformerBlock(SoftmaxAttention(64, 4), 64, 128)
                small, large = (products(block, 8 * 16 * more, 64) for more in (1, 4))
            else:
                block = DividedBlock(64, 4, 128)
                small, large = (products(block, 8 * more, 16 * more, 64) for more in (1, 2))
        return large / small

    return growth


@functools.lru_cache
def _published_giga(name: str) -> float:
    """Multiplications of a published network of 64 pictures of 224 x 224, in thousand millions.

    Papers on networks of films count a multiplication with its addition as one.
    """
    with torch.device("meta"):
        network = encoder(name, Setting(height=224, width=224)).eval()
        return forward_flops(network, torch.zeros(1, 64, 3, 224, 224)) / 2e9


def stream_flops(name: str, setting: Setting) -> int:
    """Of a forward pass of one TR through a stream, or through several side by side."""
    with torch.device("meta"):
        return sum(
            forward_flops(stream(one, setting).eval(), frames_for(one, setting, 1), setting.tr_s)
            for one in parts_of(name)
        )


def _increase(name: str) -> Count:
    """Percent that a stream's FLOPs are above those of averaging."""

    def increase(setting: Setting) -> float:
        return 100 * (stream_flops(name, setting) / stream_flops(averaging_of(name), setting) - 1)

    return increase


def _share_of_current(name: str) -> Count:
    """Percent that a stream's FLOPs are of two for each parameter of the report's model.

    A layer that is applied several times a TR costs more than two FLOPs a parameter, so this is the
    most that a stream can add to that model.
    """
    return lambda setting: 100 * stream_flops(name, setting) / (2 * CURRENT_PARAMETERS)


FLOPS: dict[str, Count] = {
    "attention_scores_of_a_head": _scores(1),
    "attention_scores_of_8_heads": _scores(8),
    "softmax_attention_multiplications": lambda s: _attention_products(SoftmaxAttention)(s) / 2,
    "linear_attention_multiplications": lambda s: _attention_products(LinearAttention)(s) / 2,
    "linear_over_softmax_flops": _linear_over_softmax(),
    "linear_over_softmax_flops_1024_frames": _linear_over_softmax(1024),
    "divided_attention_growth": _growth(joint=False),
    "joint_attention_growth": _growth(joint=True),
    "i3d_published_giga": lambda _: _published_giga("i3d, published"),
    "s3d_published_giga": lambda _: _published_giga("s3d, published"),
    "i3d_over_s3d_flops": lambda _: (
        _published_giga("i3d, published") / _published_giga("s3d, published")
    ),
    **{f"{name}_flops_increase": _increase(name) for name in (*ADDED, "s3d")},
    **{f"{name}_flops_of_current": _share_of_current(name) for name in ADDED},
}
