"""What a speech model makes of a stimulus, on the clock of the scanner."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from pydantic import Field
from tqdm.auto import tqdm

from subtr.params import Strict
from subtr.stimulus.cache import cached_array
from subtr.stimulus.container import checked_path
from subtr.stimulus.sound import sound_spans
from subtr.stimulus.speech_models import FrameGrid, SpeechModel
from subtr.timeline import Clock

# Raise it when the same model gives other features.
_FORMAT = 1
# The rest is for what is heard before and after.
_MOST_OF_LONGEST = 0.75


class SpeechFeatureParams(Strict):
    """``speech_features`` of a study's params file.

    ``model``, ``layer``: see `subtr.stimulus.speech_models.open_speech_model`.
    ``block_s``, ``context_s``: seconds of sound that are heard at once, and those heard before and
    after besides. What is further away does not change a frame, however long the film.
    """

    model: str = Field(min_length=1)
    layer: int = -1
    block_s: float = Field(20.0, gt=0, le=600)
    context_s: float = Field(4.0, ge=0, le=60)


def speech_features_of_media(
    path: Path | str, clock: Clock, model: SpeechModel, params: SpeechFeatureParams
) -> Float32[np.ndarray, "tr frame feature"]:
    """Features at the centre of each frame of the clock, by lines between the model's own frames.

    The sound is decoded in a stream and heard block by block, so memory does not grow with the
    film. Before and after it there is silence. The result is kept in the cache, by the content of
    film and weights, and read from disk as it is used.

    Raises
        MediaError: no such file, no media file, no sound track, or none of it decodes.
        CacheError: the cache cannot be written.
    """

    def compute() -> Iterator[np.ndarray]:
        blocks = list(_blocks(clock, model.grid, params))
        spans = sound_spans(path, model.grid.rate_hz, [block[:2] for block in blocks])
        bar = {"total": clock.n_trs, "desc": model.name, "unit": "TR", "delay": 3}
        with tqdm(**bar, disable=None) as shown:
            for span, (_, _, positions) in zip(spans, blocks, strict=True):
                yield _between(model.features(span), positions)
                shown.update(len(positions))

    how = {"format": _FORMAT, "model": model.digest, "clock": vars(clock)}
    how |= {"block_s": params.block_s, "context_s": params.context_s}
    return cached_array("speech", checked_path(path), how, compute)


def _blocks(clock: Clock, grid: FrameGrid, params: SpeechFeatureParams):
    """Of each block of TRs: first sample, one past the last, and its frames among the model's."""
    block_s, context = params.block_s, round(params.context_s * grid.frame_hz)
    if grid.longest is not None:
        block_s = min(block_s, _MOST_OF_LONGEST * grid.longest / grid.frame_hz)
    block_trs = max(1, int(block_s / clock.tr_s))
    positions = (clock.frame_times_s() * grid.rate_hz - grid.centre) / grid.stride
    for tr in range(0, clock.n_trs, block_trs):
        block = positions[tr : tr + block_trs]
        first, last = int(np.floor(block.min())), int(np.floor(block.max())) + 1
        if grid.longest is not None:
            context = min(context, (grid.longest - (last - first + 1)) // 2)
        samples = grid.samples_of(first - context, last + context)
        yield *samples, block - (first - context)


def _between(
    features: Float32[np.ndarray, "own feature"], positions: np.ndarray
) -> Float32[np.ndarray, "tr frame feature"]:
    before = np.floor(positions).astype(int)
    part = (positions - before)[..., None].astype(np.float32)
    return features[before] * (1 - part) + features[before + 1] * part
