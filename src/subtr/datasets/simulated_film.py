"""The generated film: pictures, sound and speech with known rhythm."""

import inspect
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, UInt8
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter
from scipy.signal.windows import tukey

from subtr.params import StudyError
from subtr.stimulus.media import resample
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Clock

WIDTH, HEIGHT, PICTURE_HZ = 160, 90, 24
SCENES = ("indoor", "street", "sea", "forest", "desert")
ACTIONS = ("still", "drift", "bounce", "orbit")
SPEEDS_PX_S = (10.0, 20.0, 40.0, 80.0)
SHAPES = ("disc", "square")
_SCENE_TRS = (2, 6)


def picture_scenes(
    duration_s: float | int, tr_s: float | int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The plan of the pictures: scenes, and the objects that move in them.

    Scenes last 2 to 5 whole TRs (at least 1.5 s); scene, action and speed are drawn independently.

    Returns
        scenes: onset_s, duration_s, scene (of ``SCENES``), action (of ``ACTIONS``), speed_px_s (0
            for still), n_objects (1 to 3).
        objects: row of its scene (scene_index), shape (of ``SHAPES``), radius_px, red, green,
            blue, and its track: x_px, y_px at the scene's onset, angle (direction of movement, or
            place on the orbit, in radians), orbit_px (radius). See ``object_positions``.
    """
    rng = np.random.default_rng([seed, 11])
    onsets_s, ends_s = _scene_times_s(duration_s, tr_s, _SCENE_TRS, rng)
    n = len(onsets_s)
    action = rng.choice(ACTIONS, n)
    scenes = pd.DataFrame(
        {
            "onset_s": onsets_s,
            "duration_s": ends_s - onsets_s,
            "scene": rng.choice(SCENES, n),
            "action": action,
            "speed_px_s": np.where(action == "still", 0.0, rng.choice(SPEEDS_PX_S, n)),
            "n_objects": rng.integers(1, 4, n),
        }
    )
    index = np.repeat(np.arange(n), scenes["n_objects"])
    m = len(index)
    colours = rng.integers(0, 256, (m, 3))
    objects = pd.DataFrame(
        {
            "scene_index": index,
            "shape": rng.choice(SHAPES, m),
            "radius_px": rng.integers(6, 13, m),
            "red": colours[:, 0],
            "green": colours[:, 1],
            "blue": colours[:, 2],
            "x_px": rng.uniform(30, WIDTH - 30, m),
            "y_px": rng.uniform(25, HEIGHT - 25, m),
            "angle": rng.uniform(0, 2 * np.pi, m),
            "orbit_px": rng.uniform(10, 25, m),
        }
    )
    return scenes, objects


def _scene_times_s(duration_s, tr_s, n_trs_range, rng) -> tuple[np.ndarray, np.ndarray]:
    """Onset and end of scenes of whole TRs, at least 1.5 s long."""
    shortest, longest = (max(n, math.ceil(n * 0.75 / tr_s)) for n in n_trs_range)
    n_trs = math.ceil(duration_s / tr_s - 1e-9)
    lengths = rng.integers(shortest, longest, n_trs)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), n_trs) + 1]
    ends_s = np.minimum(np.cumsum(lengths) * tr_s, duration_s)
    return np.concatenate([[0.0], ends_s[:-1]]), ends_s


def object_positions(
    track: dict, action: str, speed_px_s: float | int, time_s: Float64[np.ndarray, " time"]
) -> Float64[np.ndarray, "time xy"]:
    """Where the middle of an object is, ``time_s`` after the onset of its scene, in pixels.

    still: stays; drift: a straight line that leaves on one side and returns on the other;
    bounce: a straight line reflected at the edges; orbit: a circle, ``speed_px_s`` along it.
    """
    start = np.array([track["x_px"], track["y_px"]])
    size = np.array([WIDTH, HEIGHT], dtype=np.float64)
    direction = np.array([np.cos(track["angle"]), np.sin(track["angle"])])
    line = start + speed_px_s * time_s[:, None] * direction
    if action == "drift":
        return line % size
    if action == "bounce":
        radius = track["radius_px"]
        room = size - 2 * radius
        return radius + room - np.abs((line - radius) % (2 * room) - room)
    if action == "orbit":
        turn = track["angle"] + speed_px_s / track["orbit_px"] * time_s
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return start + track["orbit_px"] * (circle - direction)
    return np.broadcast_to(start, (len(time_s), 2)).copy()


def iter_generated_pictures(
    scenes: pd.DataFrame, objects: pd.DataFrame, seed: int
) -> Iterator[UInt8[np.ndarray, "height width rgb"]]:
    """The pictures of ``picture_scenes``, ``PICTURE_HZ`` a second; picture i is at i / hz."""
    for index, scene in enumerate(scenes.to_dict("records")):
        end_s = scene["onset_s"] + scene["duration_s"]
        # A picture belongs to the scene that has begun when it is shown.
        first, last = (
            math.ceil(second * PICTURE_HZ - 1e-6) for second in (scene["onset_s"], end_s)
        )
        time_s = np.arange(first, last) / PICTURE_HZ - scene["onset_s"]
        ground = background(scene["scene"], np.random.default_rng([seed, 12, index]))
        tracks = objects[objects["scene_index"] == index].to_dict("records")
        positions = [
            object_positions(track, scene["action"], scene["speed_px_s"], time_s)
            for track in tracks
        ]
        for shown in range(len(time_s)):
            picture = ground.copy()
            for track, position in zip(tracks, positions, strict=True):
                _draw(picture, track, *position[shown])
            yield picture


def background(scene: str, rng: np.random.Generator) -> UInt8[np.ndarray, "height width rgb"]:
    """A still of ``SCENES``: flat colours, a few shapes and a texture, all drawn at random."""
    picture = np.zeros((HEIGHT, WIDTH, 3))
    horizon = int(rng.integers(35, 60))
    above, below = {
        "indoor": ((205, 180, 140), (120, 75, 45)),
        "street": ((150, 165, 185), (75, 75, 80)),
        "sea": ((130, 190, 235), (20, 70, 130)),
        "forest": ((70, 120, 60), (45, 60, 25)),
        "desert": ((240, 200, 130), (215, 165, 95)),
    }[scene]
    picture[:horizon], picture[horizon:] = above, below
    if scene == "indoor":
        left = int(rng.integers(10, 110))
        picture[8 : horizon - 8, left : left + 35] = (215, 235, 250)
    elif scene == "street":
        for left in range(0, WIDTH, 20):
            top = int(rng.integers(5, horizon))
            picture[top:horizon, left : left + 18] = rng.integers(70, 150)
    elif scene == "sea":
        waves = 18 * np.sin(np.arange(HEIGHT - horizon) * rng.uniform(0.7, 1.3))
        picture[horizon:] += waves[:, None, None]
    elif scene == "forest":
        for left in rng.integers(0, WIDTH - 6, 12):
            picture[: horizon + 10, left : left + 5] = (80, 55, 30)
    else:
        columns = np.arange(WIDTH)
        dune = horizon + 8 * np.sin(columns * rng.uniform(0.03, 0.08) + rng.uniform(0, 6))
        picture[np.arange(HEIGHT)[:, None] > dune] = (190, 135, 70)
    texture = gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 2.0)
    picture += (rng.uniform(0.85, 1.15) - 1) * picture + 40 * texture[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _draw(picture, track, x_px, y_px):
    radius = track["radius_px"]
    top, left = max(int(y_px - radius), 0), max(int(x_px - radius), 0)
    bottom, right = int(y_px + radius) + 2, int(x_px + radius) + 2
    window = picture[top:bottom, left:right]
    rows = np.arange(top, top + window.shape[0])[:, None] - y_px
    columns = np.arange(left, left + window.shape[1])[None, :] - x_px
    if track["shape"] == "disc":
        inside = rows**2 + columns**2 <= radius**2
    else:
        inside = (np.abs(rows) <= radius) & (np.abs(columns) <= radius)
    window[inside] = (track["red"], track["green"], track["blue"])


RATE_HZ = 16_000
CARRIERS = ("speech", "music", "tones", "noise", "ripple")


def carrier_sound(
    carrier: str, n_samples: int, rng: np.random.Generator, *, bpm: float | int = 0
) -> Float[np.ndarray, " sample"]:
    """A carrier of ``CARRIERS`` other than speech, at ``RATE_HZ``; music needs its bpm."""
    if carrier == "music":
        return _music(n_samples, rng, bpm)
    return {"tones": _tones, "noise": _noise, "ripple": _ripple}[carrier](n_samples, rng)


def _music(n_samples, rng, bpm):
    """A chord and a tick of noise on every beat."""
    beat = 60 / bpm * RATE_HZ
    sound = np.zeros(n_samples)
    root = rng.uniform(110, 220)
    for index in range(math.ceil(n_samples / beat)):
        first = round(index * beat)
        time_s = np.arange(min(round((index + 1) * beat), n_samples) - first) / RATE_HZ
        steps = rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16], 3, replace=False)
        partials = root * 2 ** (steps[:, None] / 12) * np.arange(1, 13)
        chord = np.zeros(len(time_s))
        for hz, strength in zip(partials.ravel(), np.tile(1 / np.arange(1, 13), 3), strict=True):
            chord += strength * np.sin(2 * np.pi * hz * time_s)
        tick = 2.0 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.015)
        sound[first : first + len(time_s)] = chord * np.exp(-time_s / 0.3) + tick
    return sound


def _tones(n_samples, rng):
    time_s = np.arange(n_samples) / RATE_HZ
    f0_hz, slope = rng.uniform(90, 400), rng.uniform(0.3, 1.2)
    order = np.arange(1, int(7600 / f0_hz) + 1)
    phases = rng.uniform(0, 2 * np.pi, len(order))
    sound = np.zeros(n_samples)
    for k, phase in zip(order, phases, strict=True):
        sound += k**-slope * np.sin(2 * np.pi * k * f0_hz * time_s + phase)
    return sound


def _noise(n_samples, rng):
    """Noise with a random tilt from brown-like to blue-like."""
    pole = rng.uniform(-0.6, 0.9)
    return lfilter([1.0], [1.0, -pole], rng.standard_normal(n_samples))


def _ripple(n_samples, rng):
    """Moving ripples (Kowalski, Depireux and Shamma 1996) over tones spaced evenly in octaves."""
    time_s = np.arange(n_samples) / RATE_HZ
    velocity_hz, density = rng.choice([-1, 1]) * rng.uniform(2, 10), rng.choice([0.4, 0.8, 1.2])
    octaves = np.linspace(0, 5, 80)
    phases = rng.uniform(0, 2 * np.pi, len(octaves))
    sound = np.zeros(n_samples)
    for octave, phase in zip(octaves, phases, strict=True):
        ripple = np.sin(2 * np.pi * (velocity_hz * time_s + density * octave))
        sound += np.exp(0.9 * ripple) * np.sin(2 * np.pi * 230 * 2**octave * time_s + phase)
    return sound


VOICES = ("en-us+m3", "en-us+f2", "en-gb-scotland+m7", "en-029+f3", "en-gb-x-rp+f4", "en-029+m1")
_GRAMMAR = "article adjective noun verb article noun place article adjective noun"
_WORDS = {
    "article": "the a one every another this that",
    "adjective": "small red quiet open heavy green early strange warm broken",
    "noun": "dog river teacher window garden letter sailor mountain kitchen lamp",
    "verb": "found carried painted followed heard answered washed counted opened left",
    "place": "near behind under beside beyond above along inside",
}


@dataclass(frozen=True)
class Line:
    """What a voice is to say: words a minute from 80 to 450, pitch from 0 to 100."""

    text: str
    voice: str
    words_per_minute: int = 190
    pitch: int = 50


def sentence(rng: np.random.Generator) -> str:
    """A random sentence, such as "the red dog found a letter near every open window"."""
    return " ".join(str(rng.choice(_WORDS[kind].split())) for kind in _GRAMMAR.split())


def speak(lines: Sequence[Line], rate_hz: int) -> list[Float32[np.ndarray, " _"]]:
    """Each line as speech at ``rate_hz`` samples per second, full scale -1 to 1.

    Silence before and after is cut off. The same lines give the same samples.

    Raises
        StudyError: eSpeak NG does not start, does not know a voice, or says nothing.
    """
    if not lines:
        return []
    program = f"{inspect.getsource(_speak_as_program)}\n_speak_as_program()"
    child = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([asdict(line) for line in lines]).encode(),
        capture_output=True,
        check=False,
    )
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StudyError(
            f"eSpeak NG does not speak: {' '.join(reason) or f'code {child.returncode}'}. Known "
            f"voices: {', '.join(VOICES)}. If they fail, install espeakng-loader again, at a path "
            "of fewer than 150 characters."
        )
    header, _, samples = child.stdout.partition(b"\n")
    header = json.loads(header)
    sound = np.frombuffer(samples, np.int16).astype(np.float32) / 32768
    edges = np.concatenate([[0], np.cumsum(header["n_samples"])])
    spoken = []
    for line, (first, last) in zip(lines, pairwise(edges), strict=True):
        audible = first + np.flatnonzero(np.abs(sound[first:last]) > 0.01)
        if not len(audible):
            raise StudyError(f"eSpeak NG says nothing to {line.text!r}: give it words to say.")
        cut = sound[audible[0] : audible[-1] + 1]
        spoken.append(resample(cut, header["rate_hz"], rate_hz))
    return spoken


def _speak_as_program() -> None:
    """Reads a JSON list of `Line` as objects; writes rate_hz and n_samples, then 16-bit samples.

    eSpeak NG seeds its flutter by the clock and keeps its phases from one utterance to the next, so
    only a fresh process with a seed of its own speaks a list of lines the same each time. `speak`
    runs this function's source alone there, which starts at once.
    """
    import ctypes
    import json
    import sys

    import espeakng_loader

    # Names and values of espeak-ng's speak_lib.h.
    audio_output_synchronous, dont_exit, chars_utf8, position_character = 2, 0x8000, 1, 1
    parameter_rate, parameter_pitch = 1, 3
    path = str(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(audio_output_synchronous, 0, path.encode(), dont_exit)
    if rate_hz <= 0:
        sys.exit(f"it cannot read its data in {path} (code {rate_hz})")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    heard, spoken = [], []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def keep(samples, n_samples, _events):
        if samples and n_samples > 0:
            heard.append(ctypes.string_at(samples, 2 * n_samples))
        return 0

    library.espeak_SetSynthCallback(keep)
    for line in json.load(sys.stdin):
        heard.clear()
        if library.espeak_SetVoiceByName(line["voice"].encode()) != 0:
            sys.exit(f"it has no voice {line['voice']!r}")
        library.espeak_SetParameter(parameter_rate, line["words_per_minute"], 0)
        library.espeak_SetParameter(parameter_pitch, line["pitch"], 0)
        text = line["text"].encode()
        size = len(text) + 1
        library.espeak_Synth(text, size, 0, position_character, 0, chars_utf8, None, None)
        library.espeak_Synchronize()
        spoken.append(b"".join(heard))
    header = {"rate_hz": rate_hz, "n_samples": [len(sound) // 2 for sound in spoken]}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"".join(spoken))


# A generated sound: scenes whose carrier, level, modulation, order and onsets know no other.
#
# All that happens within a TR is a change of gain that has no mean in log amplitude, laid over
# carriers that were brought to one level first. So the TR-mean of a log spectrogram shows carrier
# and level, and neither modulation rate, order nor number of onsets.

MODULATION_HZ = (0.0, 2.0, 4.0, 8.0)
MOST_ONSETS = 4

# Changes of log amplitude: 1 is 8.7 dB.
_LEVEL, _DEPTH, _RAMP, _BURST = 0.7, (0.6, 1.1), 0.5, 1.8
_BURST_S, _BURST_APART_S = 0.03, 0.2

# Fills the gaps between partials and between words, so that every mel band is above its floor.
_BED = 0.06
_SOUND_SCENE_TRS = (2, 5)


def sound_scenes(duration_s: float | int, tr_s: float | int, seed: int) -> pd.DataFrame:
    """The plan of a sound: one row a scene, each column drawn independently of the others.

    Scenes last 2 to 4 whole TRs (at least 1.5 s). Columns: onset_s, duration_s; carrier (of
    ``CARRIERS``), voice (of speech, else ""), bpm (beats per minute of music, else 0); level (log
    amplitude); rate_hz (0 for none) and depth (log amplitude) of the modulation; order (+1 rises,
    -1 falls within each TR, 0 flat); onsets (bursts in each TR).
    """
    rng = np.random.default_rng([seed, 1])
    onsets_s, ends_s = _scene_times_s(duration_s, tr_s, _SOUND_SCENE_TRS, rng)
    n = len(onsets_s)
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
