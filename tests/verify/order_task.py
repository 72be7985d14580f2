"""A stimulus and its reversal within the TR as two classes, and a classifier trained on them.

Each window is either as it was or reversed, by a coin thrown anew each time that it is drawn, so
which of two windows belong together never shows. Time for training, for stopping and for judging
lies apart.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from subtr.datasets.generated_pictures import iter_generated_pictures, picture_scenes
from subtr.datasets.recordings import load_speech
from subtr.models import Part, Stream, StreamParams

TR_S = 1.5
N_CHECK_STEPS, BATCH = 50, 16
N_VALIDATION_TRS = 24
# Small, averaged pictures of 20 x 11 pixels, 12 a TR.
PICTURE_HZ, BLOCK_PX = 8, 8


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


def load_stimuli(data_dir):
    """Real speech; the same growing louder over each TR; a film that drifts to the right."""
    speech = load_speech(data_dir / "speech" / "hifi_6097", n_train=76, n_test=40, tr_s=TR_S)
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
