"""The report's networks as options of this library's parts, beside those that only average."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
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
