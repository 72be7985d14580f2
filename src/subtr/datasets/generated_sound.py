"""A generated sound: scenes whose carrier, level, modulation, order and onsets know no other.

All that happens within a TR is a change of gain that has no mean in log amplitude, laid over
carriers that were brought to one level first. So the TR-mean of a log spectrogram shows carrier
and level, and neither modulation rate, order nor number of onsets.
"""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32
from scipy.signal.windows import tukey

from subtr.datasets.generated_carriers import CARRIERS, RATE_HZ, carrier_sound
from subtr.datasets.generated_speech import VOICES, Line, sentence, speak
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Clock

MODULATION_HZ = (0.0, 2.0, 4.0, 8.0)
MOST_ONSETS = 4

# Changes of log amplitude: 1 is 8.7 dB.
_LEVEL, _DEPTH, _RAMP, _BURST = 0.7, (0.6, 1.1), 0.5, 1.8
_BURST_S, _BURST_APART_S = 0.03, 0.2
# Fills the gaps between partials and between words, so that every mel band is above its floor.
_BED = 0.06
_SCENE_TRS = (2, 5)


def sound_scenes(duration_s: float | int, tr_s: float | int, seed: int) -> pd.DataFrame:
    """The plan of a sound: one row a scene, each column drawn independently of the others.

    Scenes last 2 to 4 whole TRs (at least 1.5 s). Columns: onset_s, duration_s; carrier (of
    ``CARRIERS``), voice (of speech, else ""), bpm (beats per minute of music, else 0); level (log
    amplitude); rate_hz (0 for none) and depth (log amplitude) of the modulation; order (+1 rises,
    -1 falls within each TR, 0 flat); onsets (bursts in each TR).
    """
    rng = np.random.default_rng([seed, 1])
    shortest, longest = (max(n, math.ceil(n * 0.75 / tr_s)) for n in _SCENE_TRS)
    n_trs = math.ceil(duration_s / tr_s - 1e-9)
    lengths = rng.integers(shortest, longest, n_trs)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), n_trs) + 1]
    ends_s = np.minimum(np.cumsum(lengths) * tr_s, duration_s)
    onsets_s = np.concatenate([[0.0], ends_s[:-1]])
    n = len(lengths)
    carrier = _balanced(CARRIERS, n, rng)
    rate_hz = _balanced(MODULATION_HZ, n, rng)
    n_bursts = min(MOST_ONSETS, math.floor((tr_s - _BURST_APART_S) / _BURST_APART_S))
    return pd.DataFrame(
        {
            "onset_s": onsets_s,
            "duration_s": ends_s - onsets_s,
            "carrier": carrier,
            "voice": np.where(carrier == "speech", rng.choice(VOICES, n), ""),
            "bpm": np.where(carrier == "music", rng.integers(80, 161, n), 0),
            "level": rng.uniform(-_LEVEL, _LEVEL, n),
            "rate_hz": rate_hz,
            "depth": np.where(rate_hz > 0, rng.uniform(*_DEPTH, n), 0.0),
            "order": _balanced((-1, 0, 1), n, rng),
            "onsets": _balanced(range(n_bursts + 1), n, rng),
        }
    )


def render_sound(
    scenes: pd.DataFrame, tr_s: float | int, seed: int
) -> Float32[np.ndarray, " sample"]:
    """The sound of ``sound_scenes``, mono at ``RATE_HZ``, within -0.9 to 0.9.

    Raises
        StudyError: the voices cannot speak (see ``generated_speech.speak``).
    """
    carriers, gains = [], []
    speech = iter(speak(_lines(scenes, seed), RATE_HZ))
    for index, scene in enumerate(scenes.to_dict("records")):
        rng = np.random.default_rng([seed, 2, index])
        first = round(scene["onset_s"] * RATE_HZ)
        n = round((scene["onset_s"] + scene["duration_s"]) * RATE_HZ) - first
        if scene["carrier"] == "speech":
            sound = np.resize(next(speech), n)
        else:
            sound = carrier_sound(scene["carrier"], n, rng, bpm=scene["bpm"])
        sound = sound / np.sqrt(np.mean(np.square(sound)))
        carriers.append(sound + _BED * rng.standard_normal(n))
        gains.append(log_gain(scene, n, tr_s, rng))
    sound = level_sound(np.concatenate(carriers)) * np.exp(np.concatenate(gains))
    return (sound * (0.9 / np.abs(sound).max())).astype(np.float32)


def log_gain(
    scene: dict, n_samples: int, tr_s: float | int, rng: np.random.Generator
) -> Float[np.ndarray, " sample"]:
    """Log amplitude of a scene over time: level + modulation + ramps + bursts.

    Ramps rise or fall over the middle 80 % of each TR and return smoothly at its edges; bursts of
    30 ms lie at least 0.2 s apart and 0.1 s from the edges of the TR.
    """
    time_s = np.arange(n_samples) / RATE_HZ
    phase = rng.uniform(0, 2 * np.pi)
    log = scene["level"] + scene["depth"] * np.sin(2 * np.pi * scene["rate_hz"] * time_s + phase)
    part = time_s / tr_s % 1.0
    edge = np.minimum(part, 1 - part)
    ramp = np.where(edge < 0.1, np.sign(part - 0.5) * np.sin(edge * np.pi / 0.2), part * 2.5 - 1.25)
    log = log + scene["order"] * _RAMP * ramp
    burst = _BURST * tukey(round(_BURST_S * RATE_HZ), 0.2)
    for tr in range(math.ceil(n_samples / RATE_HZ / tr_s - 1e-6)):
        for onset_s in _burst_times_s(scene["onsets"], tr_s, rng):
            first = round((tr * tr_s + onset_s) * RATE_HZ)
            into = log[first : first + len(burst)]
            into += burst[: len(into)]
    return log - scene["onsets"] * burst.sum() / RATE_HZ / tr_s


def _lines(scenes, seed):
    lines = []
    for index, scene in enumerate(scenes.to_dict("records")):
        if scene["carrier"] == "speech":
            rng = np.random.default_rng([seed, 3, index])
            speed, pitch = int(rng.integers(170, 220)), int(rng.integers(30, 71))
            # No voice says a sentence of ten words in less than 1.5 s.
            said = [sentence(rng) for _ in range(math.ceil(scene["duration_s"] / 1.5))]
            lines.append(Line(" ".join(said), scene["voice"], speed, pitch))
    return lines


def _burst_times_s(n_bursts, tr_s, rng):
    # Uniform over all placements that keep the distances: spread what is left over.
    free_s = tr_s - _BURST_APART_S - (n_bursts - 1) * _BURST_APART_S
    starts_s = np.sort(rng.uniform(0, max(free_s, 0.0), n_bursts))
    return starts_s + _BURST_APART_S / 2 + np.arange(n_bursts) * _BURST_APART_S


def _balanced(values, n, rng):
    """``n`` draws in which every value comes about equally often."""
    return rng.permutation(np.resize(rng.permutation(np.asarray(values)), n))


def level_sound(sound: Float[np.ndarray, " sample"]) -> Float32[np.ndarray, " sample"]:
    """The sound with the mean over mel bands of its log spectrogram held at 0 over time."""
    clock = Clock(1.0, math.ceil(len(sound) / RATE_HZ), frames_per_tr=100)
    time_s = np.arange(len(sound)) / RATE_HZ
    for _ in range(2):
        level = log_mel_of_sound(sound, RATE_HZ, clock).mean(-1).ravel()
        gain = np.exp(np.interp(time_s, clock.frame_times_s().ravel(), -level))
        sound = (sound * gain).astype(np.float32)
    return sound
