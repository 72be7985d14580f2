"""Recognisers understand clean speech, and not what was done to it."""

import hashlib

import numpy as np
import pytest
import soundfile

import subtr.stimulus.pretrained as weights
from benchmarks.data import read_manifest
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.speech import word_errors
from subtr.stimulus.cache import CacheError

RATE_HZ = 16000


@pytest.fixture(scope="module", params=["whisper-tiny.en", "moonshine-tiny"])
def spoken(request):
    """Two utterances of a reader at 16 kHz, and their texts."""
    data_dir = request.getfixturevalue("data_dir")
    chosen = read_manifest(data_dir / "speech" / "hifi_6097")[-13:-11]
    judge = request.getfixturevalue("judge_of")(request.param)
    sounds = [soundfile.read(one.file, dtype="float32") for one in chosen]
    return judge, [one.text for one in chosen], sounds


def test_clean_speech_is_understood_the_same_each_time(spoken):
    judge, texts, sounds = spoken
    heard = [judge.transcribe(*sound) for sound in sounds]
    assert word_errors(texts, heard).accuracy() > 0.9
    assert judge.transcribe(*sounds[0]) == heard[0]


def test_noise_is_not_understood(spoken):
    judge, texts, sounds = spoken
    rng = np.random.default_rng(0)
    noisy = [
        (sound + 4 * sound.std() * rng.standard_normal(len(sound)).astype(np.float32))
        for sound, _ in sounds
    ]
    errors = judge.errors(texts, noisy, sounds[0][1])
    assert errors.words.sum() == len(" ".join(texts).split())
    assert errors.accuracy() < 0.5


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two packages that carry the parts of other weights."""
    content = {"config.json": b"{}", "tokenizer.json": b"{}", "vocabulary.txt": b"a"}
    for module, files in (
        ("first_part", content | {"model.bin.part1": b"half "}),
        ("second_part", {"model.bin.part2": b"and half"}),
    ):
        data = tmp_path / module / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").touch()
        for name, text in files.items():
            (data / name).write_bytes(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "_PARTS", ("first_part", "second_part"))
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_parts_are_joined_once_and_mended(parts, monkeypatch):
    whole = hashlib.sha256(b"half and half").hexdigest()
    monkeypatch.setattr(weights, "_BASE_SHA256", whole)
    folder = weights.base_weights()
    model = folder / "model.bin"
    assert model.read_bytes() == b"half and half"
    assert (folder / "vocabulary.txt").read_bytes() == b"a"
    written = model.stat().st_mtime_ns
    assert weights.base_weights() == folder
    assert model.stat().st_mtime_ns == written
    model.write_bytes(b"half and ha")
    assert (weights.base_weights() / "model.bin").read_bytes() == b"half and half"


def test_other_weights_are_refused_and_nothing_of_them_stays(parts):
    with pytest.raises(CacheError, match=r"joined SHA-256 is not d01c3014.*make judges"):
        weights.base_weights()
    assert not list((parts / "cache").rglob("model.bin*"))


def test_a_missing_part_or_folder_is_named(tmp_path, monkeypatch):
    pytest.importorskip("faster_whisper", reason="faster_whisper is not installed")
    pytest.importorskip("whisper_normalizer", reason="whisper_normalizer is not installed")
    monkeypatch.setattr(weights, "_PARTS", ("json", "no_such_part_of_whisper"))
    monkeypatch.setattr(weights, "_TINY", "no_such_tiny_whisper")
    with pytest.raises(JudgeMissing, match=r"no_such_part_of_whisper not installed.*make judges"):
        load_judge("whisper-base")
    with pytest.raises(JudgeMissing, match=r"make judges.*weights="):
        load_judge("whisper-tiny.en")
    with pytest.raises(JudgeMissing, match=r"holds no model\.bin"):
        load_judge("whisper-base", weights=str(tmp_path))


def test_a_release_without_weights_is_named(tmp_path, monkeypatch):
    for module in ("moonshine_voice", "jiwer", "whisper_normalizer"):
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    # A package that has been imported before is not looked for again.
    monkeypatch.setattr("subtr.stimulus.pretrained.package_folder", lambda _: tmp_path)
    with pytest.raises(JudgeMissing, match=r"holds no weights.*pip install moonshine-voice==0"):
        load_judge("moonshine-tiny")
