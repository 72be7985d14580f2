"""Sizes and costs that the report claims, computed from the networks."""

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.attention import LinearAttention, SoftmaxAttention, TransformerBlock
from subtr.encoders.convolutional import (
    MultiscaleConvolution,
    MultiscaleEncoder,
    separable_convolution,
)
from subtr.encoders.positions import POSITIONS
from subtr.encoders.video import DividedBlock
from subtr.experiments.cost import (
    BYTES_A_PARAMETER,
    count_parameters,
    forward_flops,
    kept_for_backward,
    median_ms,
)
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import Strict


class Setting(Strict):
    """Sizes of what is measured; the report's by default.

    ``n_mels``, ``height``, ``width``: features of a frame of sound, pixels of a picture.
    ``batch``: TRs of a step, in section 7.2 of the report. Pictures are measured one TR at a time
    and counted ``batch`` times. ``memory_batch``: TRs whose activations are held, in section 7.1.
    ``rounds``: how often steps are timed anew; the interval spans the rounds. 0 times nothing.
    ``device``: "cpu", "cuda".
    """

    frames_per_tr: int = Field(64, ge=1)
    tr_s: float = Field(1.5, gt=0)
    n_mels: int = Field(128, ge=1)
    height: int = Field(90, ge=1)
    width: int = Field(160, ge=1)
    batch: int = Field(8, ge=2)
    memory_batch: int = Field(4, ge=2)
    rounds: int = Field(3, ge=0)
    device: str = "cpu"


_REPORT = {"norm": "batch", "activation": "relu"}

_PICTURES = {"channels": (64, 128, 256, 512), "hidden_dim": 1024}

# Of 400 classes; Carreira and Zisserman 2017, Xie et al. 2018.
_PUBLISHED = {
    "slimming": 1,
    "time_strides": (2, 2, 2),
    "hidden_dim": 400,
    "space": "mean",
} | _REPORT

ENCODER_PARTS = {
    "multiscale": Part(name="multiscale", **_REPORT),
    "multiscale, separable": Part(name="multiscale", separable=True, **_REPORT),
    "hierarchical": Part(name="hierarchical", dims=(256, 512, 512), **_REPORT),
    "transformer": Part(
        name="transformer",
        hidden_dim=512,
        n_heads=8,
        depth=4,
        feedforward_dim=2048,
        pre_norm=False,
        activation="relu",
    ),
    "transformer, medium": Part(
        name="transformer",
        hidden_dim=768,
        n_heads=12,
        depth=6,
        feedforward_dim=3072,
        pre_norm=False,
        activation="relu",
    ),
    "s3d": Part(name="s3d", time_strides=(1, 2, 2, 2), space="mean", **_PICTURES, **_REPORT),
    "s3d, published": Part(name="s3d_inception", **_PUBLISHED),
    "i3d, published": Part(name="i3d_inception", **_PUBLISHED),
    "frame2d": Part(name="frame2d", **_PICTURES),
}

# Size of the vector of each stream that is compared with averaging, and whether it has positions.
# With "mean", hierarchy and transformer have exactly the parameters of the report's modules.
STREAM_DIMS = {"multiscale": 256, "hierarchical": 512, "transformer": 512, "s3d": 1024}

TOGETHER = {
    "tier1": ("multiscale", "hierarchical"),
    "everything": ("multiscale", "hierarchical", "s3d", "transformer"),
}

# What stands beside averaging.
COMPARED = ("positions", *STREAM_DIMS, *TOGETHER)


def encoder(name: str, setting: Setting) -> nn.Module:
    """One of ``ENCODER_PARTS``, freshly initialised."""
    part = ENCODER_PARTS[name]
    if part.name in PICTURE_ENCODERS.parts:
        return part.build(PICTURE_ENCODERS, setting.height, setting.width)
    return part.build(ENCODERS, setting.n_mels)


def fused_hierarchy(setting: Setting) -> nn.ModuleList:
    """The hierarchy and the map that the report fuses its levels by."""
    levels = encoder("hierarchical", setting)
    frames = [round(setting.frames_per_tr * rate) for rate in levels.frame_hz(1.0)]
    return nn.ModuleList([levels, AGGREGATORS.build("mean", levels.level_dims, frames, 512)])


def sees_pictures(name: str) -> bool:
    """Whether the stream is given pictures; else it is given sound."""
    return name in ("s3d", "averaging, pictures")


def averaging_of(name: str) -> str:
    """The averaging stream that a stream, or several together, stand beside: of equal width."""
    names = TOGETHER.get(name, (name,))
    sound = [STREAM_DIMS.get(one, 256) for one in names if not sees_pictures(one)]
    parts = [f"averaging, {max(sound)}"] if sound else []
    parts += ["averaging, pictures"] if any(sees_pictures(one) for one in names) else []
    return " + ".join(parts)


def parts_of(name: str) -> tuple[str, ...]:
    """The streams of which ``name`` consists."""
    return TOGETHER.get(name) or tuple(name.split(" + "))


def frames_for(name: str, setting: Setting, n_trs: int) -> Float[Tensor, "tr 1 frame *feature"]:
    """Random frames of single TRs, of the kind that a stream is given."""
    feature = (setting.n_mels,)
    if sees_pictures(name):
        feature = (3, setting.height, setting.width)
    return torch.rand(n_trs, 1, setting.frames_per_tr, *feature)


def stream(name: str, setting: Setting) -> Stream:
    """A stream from frames to one vector a TR.

    Names: those of ``STREAM_DIMS``; "positions", averaging with the report's channels of elapsed
    time; "averaging, 256", "averaging, 512" and "averaging, pictures", which have a map of each
    frame, or a 2D network of each picture, of equal width and no time.
    """
    if sees_pictures(name):
        part = ENCODER_PARTS["s3d" if name == "s3d" else "frame2d"]
        params, in_dim, dim = StreamParams(encoder=part), (setting.height, setting.width), 1024
        return Stream(in_dim, setting.frames_per_tr, dim, params)
    dim = STREAM_DIMS.get(name, 256)
    if name.startswith("averaging, "):
        dim = int(name.removeprefix("averaging, "))
    part = ENCODER_PARTS.get(name, Part(name="linear", hidden_dim=dim))
    timed = name in ("positions", "multiscale")
    params = StreamParams(
        position=Part(name="elapsed" if timed else "none"),
        encoder=part,
        aggregator=Part(name="mean"),
    )
    return Stream(setting.n_mels, setting.frames_per_tr, dim, params)


Count = Callable[[Setting], float | int]


def _without_memory(count: Callable) -> Callable:
    """The same on a device that knows sizes alone."""

    @functools.wraps(count)
    def counted(*arguments):
        with torch.device("meta"):
            return count(*arguments)

    return counted


SCALES_FRAMES = (1, 3, 5, 7, 11)


def _within(name: str, paths: str, setting: Setting) -> nn.Module:
    """Some submodules of an encoder."""
    whole = encoder(name, setting)
    return nn.ModuleList(whole.get_submodule(one) for one in paths.split())


def _five_branches(dim: int, n_layers: int, setting: Setting) -> nn.Module:
    """Layers of five branches and their fusion, of equal features throughout."""
    return nn.ModuleList(
        MultiscaleConvolution(dim if layer else setting.n_mels, dim, SCALES_FRAMES)
        for layer in range(n_layers)
    )


def _together(names: tuple[str, ...], setting: Setting) -> nn.Module:
    parts = {
        "multiscale": lambda: stream("multiscale", setting).encoder,
        "hierarchical": lambda: fused_hierarchy(setting),
        "s3d": lambda: encoder("s3d", setting),
        "transformer": lambda: stream("transformer", setting),
    }
    return nn.ModuleList(parts[name]() for name in names)


def _positions(setting: Setting) -> int:
    """What the channels of elapsed time add to the multi-scale module, their own included."""
    position = POSITIONS.build("elapsed")
    wide = MultiscaleEncoder(position.out_dim(setting.n_mels))
    added = count_parameters(wide) - count_parameters(MultiscaleEncoder(setting.n_mels))
    return added + count_parameters(position)


def _parameters(build: Callable[[Setting], nn.Module], setting: Setting) -> int:
    return count_parameters(build(setting))


_MODULES: dict[str, Callable[[Setting], nn.Module]] = {
    "multiscale": partial(encoder, "multiscale"),
    "multiscale_branch": partial(_within, "multiscale", "scales.branches"),
    "multiscale_fusion": partial(_within, "multiscale", "scales.fusion"),
    "multiscale_block": partial(_within, "multiscale", "blocks"),
    "five_branches_128": partial(_five_branches, 128, 3),
    "five_branches_256": partial(_five_branches, 256, 5),
    "position_own": lambda _: POSITIONS.build("elapsed"),
    "hierarchical": fused_hierarchy,
    "hierarchical_fine": partial(_within, "hierarchical", "convolutions.0"),
    "hierarchical_mid_pooling": partial(_within, "hierarchical", "poolings.0"),
    "hierarchical_mid": partial(_within, "hierarchical", "convolutions.1"),
    "hierarchical_coarse_pooling": partial(_within, "hierarchical", "poolings.1"),
    "hierarchical_coarse": partial(_within, "hierarchical", "convolutions.2"),
    "hierarchical_fusion": lambda setting: fused_hierarchy(setting)[1],
    "s3d": partial(encoder, "s3d"),
    **{
        f"s3d_block_{n}": partial(
            _within, "s3d", " ".join(f"blocks.{layer}" for layer in range(6 * n - 6, 6 * n))
        )
        for n in range(1, 5)
    },
    "s3d_map": partial(_within, "s3d", "vector"),
    "s3d_published": partial(encoder, "s3d, published"),
    "i3d_published": partial(encoder, "i3d, published"),
    "transformer": partial(stream, "transformer"),
    "transformer_encoder": partial(encoder, "transformer"),
    "transformer_medium": partial(encoder, "transformer, medium"),
    "transformer_input": partial(_within, "transformer", "input"),
    # Of the first block, norms left out.
    "transformer_attention": partial(_within, "transformer", "blocks.0.attention"),
    "transformer_feedforward": partial(_within, "transformer", "blocks.0.feedforward"),
    "transformer_block": partial(_within, "transformer", "blocks.0"),
    "transformer_blocks": partial(_within, "transformer", "blocks"),
    "transformer_aggregation": lambda setting: stream("transformer", setting).aggregator,
    **{name: partial(_together, names) for name, names in TOGETHER.items()},
}


def weights(module: nn.Module) -> int:
    """Without biases, as the report counts."""
    return sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


def _separable_factor(n_taps: int, _: Setting) -> float:
    """How many times fewer weights a depthwise and a pointwise convolution have."""
    return weights(nn.Conv1d(256, 512, n_taps)) / weights(separable_convolution(256, 512, n_taps))


def _frame_hz(setting: Setting) -> float:
    return setting.frames_per_tr / setting.tr_s


def _span_ms(kernel_frames: int, setting: Setting) -> float:
    kernel = MultiscaleEncoder(1, hidden_dim=1, kernel_frames=(kernel_frames,), depth=0)
    return 1000 * kernel.receptive_field_s(_frame_hz(setting))[0]


def _receptive_ms(name: str, level: int, setting: Setting) -> float:
    return 1000 * encoder(name, setting).receptive_field_s(_frame_hz(setting))[level]


def _step_ms(level: int, setting: Setting) -> float:
    """From one latent of a level of the hierarchy to the next."""
    return 1000 / encoder("hierarchical", setting).frame_hz(_frame_hz(setting))[level]


# Of the model that the report would extend, which is not at hand (section 7.1).
CURRENT_PARAMETERS = 1_984_000_000

# What would be added to it; a network of pictures would replace one that it has.
ADDED = ("multiscale", "hierarchical", "transformer", "tier1")


def products(module: nn.Module, *shape: int) -> int:
    """FLOPs beyond the maps of single tokens: those that compare tokens and sum over them."""
    tokens = torch.zeros(1, *shape)
    return forward_flops(module, tokens) - 2 * tokens[..., 0].numel() * weights(module)


def _attention_flops(kind: type[nn.Module], setting: Setting) -> int:
    return products(kind(512, 8), setting.frames_per_tr, 512)


def _attention_scores(n_heads: int, setting: Setting) -> float:
    """Numbers that softmax attention makes of a TR: each score costs dim / heads products."""
    # Two products of matrices, two FLOPs a multiplication, 8 heads of 512 / 8 features.
    return _attention_flops(SoftmaxAttention, setting) / 4 / 512 * n_heads


def _linear_over_softmax(n_frames: int | None, setting: Setting) -> float:
    if n_frames is not None:
        setting = setting.model_copy(update={"frames_per_tr": n_frames})
    linear, softmax = (
        _attention_flops(kind, setting) for kind in (LinearAttention, SoftmaxAttention)
    )
    return linear / softmax


def _joint_growth(_: Setting) -> float:
    """How many times more products four times the tokens cost: twice the frames and patches."""
    block = TransformerBlock(SoftmaxAttention(64, 4), 64, 128)
    return products(block, 4 * 8 * 16, 64) / products(block, 8 * 16, 64)


def _divided_growth(_: Setting) -> float:
    block = DividedBlock(64, 4, 128)
    return products(block, 2 * 8, 2 * 16, 64) / products(block, 8, 16, 64)


@functools.lru_cache
def _published_giga(name: str) -> float:
    """Multiplications of a published network of 64 pictures of 224 x 224, in thousand millions.

    Papers on networks of films count a multiplication with its addition as one.
    """
    network = encoder(name, Setting(height=224, width=224)).eval()
    return forward_flops(network, torch.zeros(1, 64, 3, 224, 224)) / 2e9


@_without_memory
def stream_flops(name: str, setting: Setting) -> int:
    """Of a forward pass of one TR through a stream, or through several side by side."""
    return sum(
        forward_flops(stream(one, setting).eval(), frames_for(one, setting, 1), setting.tr_s)
        for one in parts_of(name)
    )


def _increase(name: str, setting: Setting) -> float:
    """Percent that a stream's FLOPs are above those of averaging."""
    return 100 * (stream_flops(name, setting) / stream_flops(averaging_of(name), setting) - 1)


def _share_of_current(name: str, setting: Setting) -> float:
    """Percent that a stream's FLOPs are of two for each parameter of the report's model.

    A layer that is applied several times a TR costs more than two FLOPs a parameter, so this is the
    most that a stream can add to that model.
    """
    return 100 * stream_flops(name, setting) / (2 * CURRENT_PARAMETERS)


_SIZES: dict[str, Count] = {
    **{f"{name}_parameters": partial(_parameters, build) for name, build in _MODULES.items()},
    "position_parameters": _positions,
    # The report's 3 x 3 pixels are 9 taps.
    "plain_9_taps_parameters": lambda _: weights(nn.Conv1d(256, 512, 9)),
    "separable_9_taps_parameters": lambda _: weights(separable_convolution(256, 512, 9)),
    "separable_9_taps_factor": partial(_separable_factor, 9),
    "separable_3_taps_factor": partial(_separable_factor, 3),
    "separable_multiscale_factor": lambda setting: (
        count_parameters(encoder("multiscale", setting))
        / count_parameters(encoder("multiscale, separable", setting))
    ),
    **{f"kernel_{kernel}_span_ms": partial(_span_ms, kernel) for kernel in SCALES_FRAMES[1:]},
    "multiscale_receptive_field_ms": partial(_receptive_ms, "multiscale", -1),
    "hierarchical_mid_receptive_field_ms": partial(_receptive_ms, "hierarchical", 1),
    "hierarchical_fine_step_ms": partial(_step_ms, 0),
    "hierarchical_mid_step_ms": partial(_step_ms, 1),
    "hierarchical_coarse_step_ms": partial(_step_ms, 2),
    "attention_scores_of_a_head": partial(_attention_scores, 1),
    "attention_scores_of_8_heads": partial(_attention_scores, 8),
    "softmax_attention_multiplications": lambda s: _attention_flops(SoftmaxAttention, s) / 2,
    "linear_attention_multiplications": lambda s: _attention_flops(LinearAttention, s) / 2,
    "linear_over_softmax_flops": partial(_linear_over_softmax, None),
    "linear_over_softmax_flops_1024_frames": partial(_linear_over_softmax, 1024),
    "divided_attention_growth": _divided_growth,
    "joint_attention_growth": _joint_growth,
    "i3d_published_giga": lambda _: _published_giga("i3d, published"),
    "s3d_published_giga": lambda _: _published_giga("s3d, published"),
    "i3d_over_s3d_flops": lambda _: (
        _published_giga("i3d, published") / _published_giga("s3d, published")
    ),
    **{f"{name}_flops_increase": partial(_increase, name) for name in (*ADDED, "s3d")},
    **{f"{name}_flops_of_current": partial(_share_of_current, name) for name in ADDED},
}

# A step of fewer takes so little time that other work of the machine would drown it.
_LONG_FLOPS = 2e9


@functools.lru_cache
def _memory_of_one(name: str, setting: Setting) -> float:
    # Pictures are large, so one TR stands for all; norms over the batch need two TRs of sound.
    n_trs = 1 if sees_pictures(name) else setting.memory_batch
    with torch.random.fork_rng(devices=[]):
        network = stream(name, setting).to(setting.device)
        frames = frames_for(name, setting, n_trs).to(setting.device)
        kept = kept_for_backward(network, frames, setting.tr_s) * setting.memory_batch / n_trs
    return (kept + BYTES_A_PARAMETER * count_parameters(network)) / 1e9


def memory_gb(name: str, setting: Setting) -> float:
    """GB that training a stream takes: parameters with all that AdamW keeps, and activations."""
    return sum(_memory_of_one(one, setting) for one in parts_of(name))


@functools.lru_cache
def step_times_ms(setting: Setting) -> list[dict[str, float]]:
    """Milliseconds of a forward and backward pass of ``batch`` TRs, by stream; one dict a round.

    Within a round streams of one kind take turns, so that what else the machine does meets all
    alike. Short steps are done many at a time, and of sound the median of five turns is taken.
    """
    names = [one for name in COMPARED for one in parts_of(name)]
    names += [one for name in COMPARED for one in parts_of(averaging_of(name))]
    names = list(dict.fromkeys(names))
    kinds = [
        ([name for name in names if sees_pictures(name) == pictures], repeats)
        for pictures, repeats in ((False, 5), (True, 1))
    ]
    with torch.random.fork_rng(devices=[]):
        calls = {name: _steps(name, setting) for name in names}
    rounds: list[dict[str, float]] = [{} for _ in range(setting.rounds)]
    for times in rounds:
        for kind, repeats in kinds:
            taken_ms = median_ms([calls[name][0] for name in kind], repeats, setting.device)
            for name, ms in zip(kind, taken_ms, strict=True):
                times[name] = ms * setting.batch / calls[name][1]
    return rounds


def _steps(name: str, setting: Setting) -> tuple[Callable[[], Any], int]:
    """Steps enough to take a while, and of how many TRs they are."""
    network = stream(name, setting).to(setting.device)
    n_trs = 1 if sees_pictures(name) else setting.batch
    frames = frames_for(name, setting, n_trs).to(setting.device)
    n_steps = max(1, min(50, int(_LONG_FLOPS / (n_trs * stream_flops(name, setting)))))

    def steps():
        for _ in range(n_steps):
            network.zero_grad()
            network(frames, setting.tr_s).sum().backward()

    return steps, n_steps * n_trs


def step_ratio(name: str, setting: Setting) -> list[float]:
    """How many times as long as averaging a step of a stream takes; one number a round."""
    ours, theirs = parts_of(name), parts_of(averaging_of(name))
    return [
        sum(times[one] for one in ours) / sum(times[one] for one in theirs)
        for times in step_times_ms(setting)
    ]


def fused_attention_speedup(setting: Setting) -> list[float]:
    """How many times as fast fused softmax attention is as the plain one; one number a round."""
    with torch.random.fork_rng(devices=[]):
        # 8 heads of 64 features, as in section 6.4 of the report.
        shape = (3, setting.batch, 8, setting.frames_per_tr, 64)
        given = torch.randn(shape, device=setting.device, requires_grad=True)

    def fused():
        F.scaled_dot_product_attention(*given).sum().backward()

    def plain():
        with sdpa_kernel(SDPBackend.MATH):
            fused()

    times = [median_ms([plain, fused], 15, setting.device) for _ in range(setting.rounds)]
    return [plain_ms / fused_ms for plain_ms, fused_ms in times]


def order_kept(name: str, setting: Setting) -> float:
    """Percent of the variance of TR vectors that changes as the frames within TRs are shuffled.

    Nothing of the order of frames can be known from vectors that keep 0 % of it.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = stream(name, setting).double().eval()
        frames = frames_for(name, setting, 16).double()
        shuffled = frames[:, :, torch.randperm(setting.frames_per_tr)]
        vectors, others = (network(one, setting.tr_s) for one in (frames, shuffled))
    changed = (vectors - others).square().sum() / (vectors - vectors.mean(0)).square().sum()
    # Sums in another order differ in their last digits.
    return 100 * float(changed) if changed > 1e-20 else 0.0


# What is exact.
COUNTED: dict[str, Count] = {
    **{name: _without_memory(count) for name, count in _SIZES.items()},
    **{f"{name}_memory_gb": partial(memory_gb, name) for name in COMPARED},
    "position_order_kept": partial(order_kept, "positions"),
}

# Of several rounds.
TIMES: dict[str, Callable[[Setting], list[float]]] = {
    **{f"{name}_step_ratio": partial(step_ratio, name) for name in COMPARED},
    "fused_attention_speedup": fused_attention_speedup,
}

ON_GRAPHICS_CARDS = ("fused_attention_speedup",)
