"""Sentences by grammar, spoken by the eSpeak NG voices that the espeakng-loader wheel carries."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from subtr.params import StudyError
from subtr.stimulus.media import resample

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
    program = Path(__file__).with_name("espeak_process.py")
    child = subprocess.run(
        [sys.executable, str(program)],
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
