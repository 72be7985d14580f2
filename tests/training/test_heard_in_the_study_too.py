"""Other recordings never hold the study's own stimulus, whose test time would be learned from."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from gliding_tones import RATE_HZ, gliding_tones
from test_other_recordings import SETTINGS, STUDY, recorded

from subtr.datasets.study import Study
from subtr.params import StudyError, StudyWarning
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Clock
from subtr.training.recordings import with_other_recordings


def test_the_stimulus_itself_is_refused(tmp_path):
    recorded(tmp_path / "film.wav", 3.0)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "renamed.wav").write_bytes((tmp_path / "film.wav").read_bytes())
    for study in (
        replace(STUDY, media=tmp_path / "film.wav"),
        replace(STUDY, run_stimuli=((tmp_path / "film.wav", 0.0),)),
    ):
        with pytest.raises(StudyError, match=r"renamed\.wav is the stimulus of heard"):
            with_other_recordings(study, tmp_path / "others")


def test_what_is_heard_in_the_study_too_is_left_out_in_another_format(tmp_path):
    # Neither the bytes nor the level nor the beginning are the same.
    film, new = gliding_tones(30, 0), gliding_tones(30, 1)
    clock = Clock(1.5, 20, 0.0, 16)
    mel = log_mel_of_sound(film.astype(np.float32), RATE_HZ, clock, SETTINGS)
    study = Study("heard", clock, mel=mel, mel_settings=SETTINGS)
    others = tmp_path / "others"
    others.mkdir()
    copy = 0.4 * film[5000 : 16 * RATE_HZ]
    soundfile.write(others / "a.flac", np.concatenate([new[: 15 * RATE_HZ], copy, new]), RATE_HZ)
    with pytest.warns(StudyWarning, match=r"of 60 s of .*a\.flac are heard in the study too"):
        found = with_other_recordings(study, others)
    before, after = map(len, found.other_mel)
    assert 5 <= before <= 10
    assert 15 <= after <= 20
    expected = log_mel_of_sound(new.astype(np.float32), RATE_HZ, clock, SETTINGS)
    # What is kept is what comes before the copy.
    np.testing.assert_allclose(found.other_mel[0][:5], expected[:5], atol=0.1)
    assert "are not learned from" in found.notes[-2]
    soundfile.write(others / "a.flac", copy, RATE_HZ)
    with pytest.warns(StudyWarning), pytest.raises(StudyError, match="and not heard in heard too"):
        with_other_recordings(study, others)
