"""Speech in windows of a TR: whose they are, and what PCA keeps of them."""

import json

import numpy as np
import pytest
import soundfile

from benchmarks.data import load_speech, read_manifest, speech_windows
from subtr.metrics.temporal import within_tr_r2
from subtr.models.linear import PCABaseline, sliding_windows
from subtr.params import StudyError
from subtr.stimulus.media import MediaError
from subtr.stimulus.mel import MelSettings

MEL = MelSettings(n_mels=32)
TONES_HZ = (300, 800, 1500, 2500, 4000, 6000)
LENGTHS_S = (2.0, 1.0, 3.1, 1.6, 2.2, 3.0)


@pytest.fixture
def folder(tmp_path):
    """Six utterances, each a tone of its own; one of them stereo at another rate."""
    lines = []
    for index, (tone_hz, length_s) in enumerate(zip(TONES_HZ, LENGTHS_S, strict=True)):
        rate_hz = 22_050 if index == 2 else 16_000
        sound = np.sin(2 * np.pi * tone_hz * np.arange(round(length_s * rate_hz)) / rate_hz)
        sound = np.stack([sound, sound], axis=1) if index == 2 else sound
        soundfile.write(tmp_path / f"{index}.wav", 0.3 * sound, rate_hz)
        lines.append(json.dumps({"audio_filepath": f"{index}.wav", "text": f"tone {index}"}))
    (tmp_path / "manifest.json").write_text("\n".join(lines) + "\n")
    return tmp_path


def loudest_hz(windows):
    """Centre of the loudest mel band in the middle half of each window."""
    import librosa

    centres_hz = librosa.mel_frequencies(MEL.n_mels + 2, fmin=0, fmax=MEL.fmax_hz)[1:-1]
    middle = windows.shape[1] // 2
    return centres_hz[windows[:, middle - 1 : middle + 1].mean(axis=1).argmax(axis=1)]


@pytest.mark.parametrize(("joined", "n_windows"), [(True, 8), (False, 7)])
def test_each_window_holds_the_utterance_it_names(folder, joined, n_windows):
    utterances = read_manifest(folder)
    assert [one.text for one in utterances] == [f"tone {index}" for index in range(6)]
    windows, owner = speech_windows(utterances, 1.5, 16, MEL, joined)
    assert windows.shape == (n_windows, 16, 32)
    np.testing.assert_allclose(loudest_hz(windows), np.array(TONES_HZ)[owner], rtol=0.12)


def test_separate_windows_cross_no_border(folder):
    windows, owner = speech_windows(read_manifest(folder), 1.5, 16, MEL, joined=False)
    assert owner.tolist() == [0, 2, 2, 3, 4, 5, 5]
    inner = windows[:, 2:-2]
    assert (inner.argmax(axis=2) == inner.argmax(axis=2)[:, :1]).all()


def test_parts_share_no_utterance(folder):
    windows = load_speech(folder, n_train=3, n_test=2, mel=MEL)
    assert set(windows.train_utterance) <= {0, 1, 2}
    assert set(windows.test_utterance) == {4, 5}
    assert len(windows.train) == int(6.1 / 1.5)
    assert len(windows.test) == int(5.2 / 1.5)


@pytest.mark.parametrize(("n_train", "n_test"), [(5, 2), (0, 1), (1, 0)])
def test_parts_that_overlap_or_are_empty_are_refused(folder, n_train, n_test):
    with pytest.raises(StudyError, match="lists 6 utterances"):
        load_speech(folder, n_train, n_test)


def test_a_wrong_manifest_is_named_with_its_line(folder):
    file = folder / "manifest.json"
    good = file.read_text().splitlines()[0]
    for bad, message in (
        ("{", "line 2: expected a JSON object"),
        ('{"text": "x"}', "line 2: expected a JSON object"),
        ('{"audio_filepath": "9.wav", "text": "x"}', r"line 2: .*9\.wav does not exist"),
    ):
        file.write_text(f"{good}\n{bad}\n")
        with pytest.raises(StudyError, match=message):
            read_manifest(folder)
    file.unlink()
    with pytest.raises(StudyError, match=r"manifest\.json does not exist"):
        read_manifest(folder)


def test_what_is_no_recording_is_named(folder):
    (folder / "1.wav").write_text("no sound")
    with pytest.raises(MediaError, match=r"1\.wav is no readable recording"):
        load_speech(folder, 3, 2)


def test_too_short_utterances_say_what_to_do(folder):
    with pytest.raises(StudyError, match="shorter tr_s, or join"):
        speech_windows(read_manifest(folder), 4.0, 16, MEL, joined=False)


def test_pca_of_real_speech_keeps_more_with_more_floats(data_dir):
    """One reader, 4 minutes to learn from, other sentences of theirs to judge by."""
    speech = load_speech(data_dir / "speech" / "hifi_6097")
    assert (len(speech.train), len(speech.test)) == (164, 33)
    assert (speech.test_utterance.min(), speech.test_utterance.max()) == (100, 115)
    known = sliding_windows(speech.train, 16)
    kept = [
        within_tr_r2(speech.test, PCABaseline(n).fit(known).reconstruct(speech.test))
        for n in (64, 128, 512)
    ]
    # Measured: 0.829, 0.865 and 0.907.
    np.testing.assert_allclose(kept, [0.83, 0.865, 0.907], atol=0.02)


def test_pca_of_windows_at_tr_borders_alone_keeps_far_less(data_dir):
    """README and `training_windows` quote these two."""
    speech = load_speech(data_dir / "speech" / "hifi_6097")
    kept = [
        within_tr_r2(speech.test, PCABaseline(128).fit(known).reconstruct(speech.test))
        for known in (speech.train, sliding_windows(speech.train, 1))
    ]
    np.testing.assert_allclose(kept, [0.81, 0.89], atol=0.006)
