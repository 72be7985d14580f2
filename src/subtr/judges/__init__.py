"""Independent pretrained models that score reconstructed sound and pictures, by name.

They come with `make judges`, or from a folder of the user's; nothing here needs them until asked.
"""

from typing import Any

import pandas as pd

from subtr.judges.audio import (
    Dnsmos,
    EmotionClassifier,
    Intelligibility,
    Pesq,
    PitchTracker,
    SoundEvents,
    Visqol,
)
from subtr.judges.judge import Judge, JudgeMissing
from subtr.judges.music import BeatTracker, GenreTagger, MusicTagger
from subtr.judges.scenes import ColourScenes, EfficientNetScenes, FlowActions, FolderScenes
from subtr.judges.speech import MoonshineTiny, SpeakerRecogniser, WhisperBase, WhisperTiny
from subtr.judges.video import FrameQuality, Lpips, ObjectTracker, ShotDetector, Vmaf
from subtr.params import Registry, answer_as

_CLASSES: list[type[Judge]] = [
    WhisperBase,
    WhisperTiny,
    MoonshineTiny,
    Intelligibility,
    Pesq,
    Visqol,
    Dnsmos,
    SpeakerRecogniser,
    PitchTracker,
    BeatTracker,
    MusicTagger,
    GenreTagger,
    SoundEvents,
    EmotionClassifier,
    FrameQuality,
    Lpips,
    Vmaf,
    ObjectTracker,
    EfficientNetScenes,
    ColourScenes,
    FolderScenes,
    FlowActions,
    ShotDetector,
]

JUDGES = Registry("judge", {judge.name: judge for judge in _CLASSES})


def load_judge(name: str, **options: Any) -> Judge:
    """The judge called ``name``, made with the options that its class takes.

    Raises
        SettingsError: no such judge or option, with the nearest right one.
        JudgeMissing: its package or weights are not at hand; the message says what to do.
    """
    judge = JUDGES.build(name, **options)
    judge.check()
    return judge


def judge_table() -> pd.DataFrame:
    """A row a judge, as it is without options: which can be used here, and why others cannot.

    Columns: name, criterion, package, licence, source, available, why_not ("" where available).
    """
    return pd.DataFrame([_row(JUDGES.build(name)) for name in JUDGES.parts])


def _row(judge: Judge) -> dict[str, Any]:
    about = {key: getattr(judge, key) for key in ("name", "criterion", "package", "licence")}
    why_not = ""
    try:
        judge.check()
    except JudgeMissing as error:
        why_not = str(error)
    return about | {"source": judge.source, "available": not why_not, "why_not": why_not}


answer_as(__name__, JUDGES)
