"""Judges that are at hand, and sounds about which the truth is known."""

import numpy as np
import pytest

from subtr.datasets.simulated_film import VOICES, Line, speak
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing

RATE_HZ = 16000


@pytest.fixture(scope="session")
def judge_of():
    """A judge by name, loaded once; the test is skipped where it is missing, with the reason."""
    kept = {}

    def load(name, **options):
        try:
            return kept.setdefault((name, str(options)), load_judge(name, **options))
        except JudgeMissing as error:
            pytest.skip(str(error))

    return load


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """6 s of a generated voice."""
    text = "the red dog found a letter near every open window and the teacher counted seven lamps"
    (spoken,) = speak([Line(f"{text} {text}", VOICES[0])], RATE_HZ)
    return 0.9 * spoken[: 6 * RATE_HZ]


@pytest.fixture(scope="session")
def noisy(speech) -> np.ndarray:
    """The same speech under noise as strong as itself."""
    noise = np.random.default_rng(0).standard_normal(len(speech)) * speech.std()
    return np.clip(speech + noise, -1, 1).astype(np.float32)


@pytest.fixture(scope="session")
def shuffled(speech) -> np.ndarray:
    """The same speech in pieces of 23 ms, in random order within each 1.5 s."""
    return in_pieces(speech)


def in_pieces(sound, tr_s=1.5, n_frames=64):
    """A sound of whole TRs, the frames of each TR in random order."""
    rng = np.random.default_rng(1)
    n = round(tr_s * RATE_HZ) // n_frames
    trs = sound[: len(sound) // (n * n_frames) * n * n_frames].reshape(-1, n_frames, n)
    mixed = np.concatenate([tr[rng.permutation(n_frames)].ravel() for tr in trs])
    return np.concatenate([mixed, sound[len(mixed) :]])
