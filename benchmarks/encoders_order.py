"""Do trained encoders tell a stimulus from its reversal within the TR?

A stimulus and its reversal are two classes; each window is either as it was or reversed, by a coin
thrown anew each time that it is drawn, so which of two windows belong together never shows. Time
for training, for stopping and for judging lies apart. All ends in 16 numbers a TR and a linear
classifier of them.

Data: a reader's speech, and a generated film that drifts. About 25 minutes on two cores.
Expected: temporal encoders reach 0.95 when their latents are averaged over the TR, so that what
knows the order is the encoder alone; with more weights some seeds stay where they started;
systems without order are at chance.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.data import TR_S, folder_of, load_speech
from benchmarks.tables import Row
from subtr.datasets.simulated_film import iter_generated_pictures, picture_scenes
from subtr.models.stream import Part, Stream, StreamParams

TABLE = "order"
SEEDS = (0, 1, 2)
N_MOST_STEPS = 1200
N_CHECK_STEPS, BATCH = 50, 16
N_VALIDATION_TRS = 24
# Small, averaged pictures of 20 x 11 pixels, 12 a TR.
PICTURE_HZ, BLOCK_PX = 8, 8

_SMALL = {"hidden_dim": 32}
_ATTENTION = {"hidden_dim": 32, "depth": 1, "feedforward_dim": 64}
_GATED = {"hidden_dim": 16, "depth": 1, "feedforward_dim": 32, "n_heads": 2, "kind": "gated"}
_FILM = {"channels": (8, 16), "hidden_dim": 32}
# Stimulus, encoder, its usual aggregator. Convolutions hear that speech rises faster than it falls
# off. Attention with absolute position is slow to learn what is so local and the same everywhere
# in the window, so it is given speech that also grows louder over the TR; divided attention of
# pictures is given a learned weight of each distance in time for the same reason.
TEMPORAL = {
    "multiscale": ("speech", {"name": "multiscale", "hidden_dim": 16}, "conv"),
    "dilated, wavenet": ("speech", {"name": "dilated", **_SMALL}, "conv"),
    "dilated, tcn": ("speech", {"name": "dilated", "kind": "tcn", **_SMALL}, "conv"),
    "attentive_dilated": ("speech", {"name": "attentive_dilated", **_SMALL}, "adaptive"),
    "hierarchical": ("speech", {"name": "hierarchical", "dims": (16, 32, 32)}, "pyramid"),
    "conv_transformer": (
        "speech",
        {"name": "conv_transformer", "conv_dim": 32, **_ATTENTION},
        "attention",
    ),
    "transformer": ("rising speech", {"name": "transformer", **_ATTENTION}, "attention"),
    "linear_attention, elu": (
        "rising speech",
        {"name": "linear_attention", **_ATTENTION},
        "attention",
    ),
    "linear_attention, gated": (
        "rising speech",
        {"name": "linear_attention", **_GATED},
        "attention",
    ),
    "two_stream": ("film", {"name": "two_stream", "motion_channels": (8, 16), **_FILM}, "conv"),
    "i3d": ("film", {"name": "i3d", **_FILM}, "conv"),
    "s3d": ("film", {"name": "s3d", "space": "mean", **_FILM}, "conv"),
    "slowfast": (
        "film",
        {"name": "slowfast", "slow_features": 8, "blocks": (1, 1), "hidden_dims": (16, 32)},
        "pyramid",
    ),
    "timesformer": (
        "film",
        {"name": "timesformer", "dim": 32, "depth": 1, "patch_pixels": 4, "hidden_dim": 32}
        | {"positions": "relative", "space": "mean"},
        "attention",
    ),
}
# At the rate of the others they stay where they started with one seed of three.
RATES = {"i3d": 5e-4, "timesformer": 5e-4}
_NO_POSITION = {**_ATTENTION, "positions": "none"}
# What no training can teach: stimulus, encoder, aggregator. Of the nearest frame reversal makes the
# one beside it, which is as likely either way; of the mean nothing at all.
BLIND = {
    "linear, mean": ("speech", {"name": "linear"}, "mean"),
    "linear, mean, rising": ("rising speech", {"name": "linear"}, "mean"),
    "linear, nearest": ("speech", {"name": "linear"}, "nearest"),
    "linear, nearest, rising": ("rising speech", {"name": "linear"}, "nearest"),
    "transformer without position, mean": (
        "rising speech",
        {"name": "transformer", **_NO_POSITION},
        "mean",
    ),
    "linear_attention without position, mean": (
        "rising speech",
        {"name": "linear_attention", **_NO_POSITION},
        "mean",
    ),
    "frame2d, mean": ("film", {"name": "frame2d", **_FILM}, "mean"),
    "frame2d, nearest": ("film", {"name": "frame2d", **_FILM}, "nearest"),
}


def run(folder: Path, systems=(*TEMPORAL, *BLIND), seeds=SEEDS) -> list[Row]:
    """A row a system, aggregator and seed: how many windows of the test time are told right."""
    stimuli, rows = load_stimuli(), []
    for name in systems:
        if name in BLIND:
            stimulus, encoder, aggregator = BLIND[name]
            # More steps than most temporal encoders need.
            rows += rows_of(stimuli, stimulus, encoder, aggregator, seeds, 400, system=name)
            continue
        stimulus, encoder, usual = TEMPORAL[name]
        for aggregator in ("mean", usual):
            rows += rows_of(stimuli, stimulus, encoder, aggregator, seeds, system=name)
    return rows


def rows_of(
    stimuli, stimulus, encoder, aggregator, seeds, n_most_steps=N_MOST_STEPS, **labels
) -> list[Row]:
    rows = []
    for seed in seeds:
        rate = RATES.get(encoder["name"], 2e-3)
        row = trained(stimuli[stimulus], encoder, aggregator, seed, n_most_steps, rate)[1]
        rows.append({"stimulus": stimulus, "aggregator": aggregator} | labels | row)
        print(rows[-1], flush=True)
    return rows


@dataclass(frozen=True)
class Parts:
    """Consecutive frames to train on; TRs of other times to stop by and to judge by."""

    train: Float[Tensor, "frame *feature"]
    validation: Float[Tensor, "tr frame *feature"]
    test: Float[Tensor, "tr frame *feature"]
    rise: Float[Tensor, " frame"] | None = None

    def reversed_or_not(self, windows, backwards):
        """The windows, louder and louder where the stimulus rises, and some of them reversed."""
        if self.rise is not None:
            windows = windows + self.rise[:, None]
        backwards = backwards.view(-1, *[1] * (windows.ndim - 1))
        return torch.where(backwards, windows.flip(1), windows)


def load_stimuli():
    """Real speech; the same growing louder over each TR; a film that drifts to the right."""
    speech = load_speech(folder_of("speech/hifi_6097"), n_train=76, n_test=40, tr_s=TR_S)
    train, test = (torch.from_numpy(part) for part in (speech.train, speech.test))
    centre, spread = train.mean(dim=(0, 1)), train.std()
    train, test = (train - centre) / spread, (test - centre) / spread
    edge = len(train) - N_VALIDATION_TRS
    parts = train[:edge].flatten(0, 1), train[edge:], test
    # A gain that grows evenly in log amplitude, without a mean, and flat in the middle two frames.
    rise = torch.linspace(-1, 1, train.shape[1]).mul(10).round().div(10) * 0.5
    film = drifting_film(600, 0), *(by_tr(drifting_film(s, 1 + s)) for s in (90, 150))
    return {"speech": Parts(*parts), "rising speech": Parts(*parts, rise), "film": Parts(*film)}


def by_tr(pictures):
    return pictures.unflatten(0, (-1, round(TR_S * PICTURE_HZ)))


def drifting_film(duration_s, seed):
    """The generated film's pictures, small, of white objects that all drift to the right.

    In the film itself only orbits have a direction in time: what drifts left, reversed, is as good
    a film as any. White, because contrast of either sign would make differences of pictures, which
    turn their sign, symmetric too.
    """
    scenes, objects = picture_scenes(duration_s, TR_S, seed)
    rng = np.random.default_rng([seed, 99])
    scenes["action"] = "drift"
    scenes["speed_px_s"] = rng.choice((40.0, 80.0), len(scenes))
    objects["angle"] = rng.uniform(-0.7, 0.7, len(objects))
    objects[["red", "green", "blue"]] = 255
    pattern, size = "(h a) (w b) c -> c h w", {"a": BLOCK_PX, "b": BLOCK_PX}
    shown = [
        reduce(picture[:88].astype(np.float32) / 255 - 0.5, pattern, "mean", **size)
        for index, picture in enumerate(iter_generated_pictures(scenes, objects, seed))
        if index % (24 // PICTURE_HZ) == 0
    ]
    return torch.from_numpy(np.stack(shown))


class Classifier(nn.Module):
    """A stream to 16 numbers, and one linear map of these to a logit."""

    def __init__(self, frames, encoder, aggregator):
        super().__init__()
        n_frames, *feature = frames.shape[1:]
        in_dim = feature[0] if len(feature) == 1 else tuple(feature[1:])
        params = StreamParams(encoder=Part(**encoder), aggregator=Part(name=aggregator))
        self.stream, self.map = Stream(in_dim, n_frames, 16, params), nn.Linear(16, 1)

    def forward(self, windows):
        return self.map(self.stream(windows[:, None], TR_S))[:, 0, 0]


def trained(parts, encoder, aggregator, seed, n_most_steps, learning_rate=2e-3):
    """A classifier trained until it makes at most one mistake in the validation TRs, twice.

    Gives it, and a row of what it makes of the test TRs.
    """
    torch.manual_seed(seed)
    model = Classifier(parts.test, encoder, aggregator)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    n_frames, n_good, began_s = parts.test.shape[1], 0, time.process_time()
    warm = torch.optim.lr_scheduler.LinearLR(optimiser, 0.02, total_iters=50)
    noise = 0.3 if parts.train.ndim == 2 else 0.0  # speech is short, and learned by heart without
    for step in range(1, n_most_steps + 1):
        starts = torch.randint(0, len(parts.train) - n_frames + 1, (BATCH,))
        windows = parts.train[starts[:, None] + torch.arange(n_frames)]
        backwards = torch.rand(BATCH) < 0.5
        windows = parts.reversed_or_not(windows, backwards)
        logits = model(windows + noise * torch.randn_like(windows))
        loss = binary_cross_entropy_with_logits(logits, backwards.float())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        warm.step()
        if step % N_CHECK_STEPS == 0:
            n_right, n = judged(model, parts, parts.validation, seed)
            n_good = n_good + 1 if n_right >= n - 1 else 0
            if n_good == 2:
                break
    n_right, n = judged(model, parts, parts.test, seed)
    row = {"seed": seed, "n_right": n_right, "n": n, "accuracy": n_right / n, "steps": step}
    return model, row | {"time_s": time.process_time() - began_s}


@torch.no_grad()
def judged(model, parts, windows, seed):
    """How many windows, half of them reversed, are told right, and of how many."""
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(seed))
    backwards = order < len(windows) // 2
    model.eval()
    logits = model(parts.reversed_or_not(windows, backwards))
    model.train()
    return ((logits > 0) == backwards).sum().item(), len(windows)
