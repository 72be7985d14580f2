"""Word errors that were planted, and what is no error."""

import numpy as np
import pytest

from subtr.metrics.inference import block_bootstrap
from subtr.params import SettingsError

pytest.importorskip("jiwer", reason="jiwer is not installed: `make judges`")
pytest.importorskip("whisper_normalizer", reason="whisper_normalizer is not installed")

from subtr.judges.speech import WordErrors, normalised, word_errors


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("My death-warrant, Sir!", "my death warrant sir"),
        ("Twenty-five men", "25 men"),
        ("twenty five men", "25 men"),
        ("He won't come", "he will not come"),
        ("um, the colour [noise] (softly) of it", "the color of it"),
        ("the lion's den", "the lion is den"),
        ("", ""),
    ],
)
def test_what_is_no_error_of_hearing_is_alike(text, alike):
    assert normalised(text) == normalised(alike)
    assert normalised(normalised(text)) == normalised(text)


@pytest.mark.parametrize(
    ("heard", "edits"),
    [
        ("The red dog found a letter.", 0),
        ("the red dock found a letter", 1),
        ("the dog found a letter", 1),
        ("the big red dog found a letter", 1),
        ("", 6),
        ("one two three four five six seven eight", 6),
    ],
)
def test_planted_errors_are_counted(heard, edits):
    errors = word_errors(["the red dog found a letter"], [heard])
    assert errors.words.tolist() == [6]
    assert errors.edits.tolist() == [edits]
    assert errors.accuracy() == pytest.approx(1 - edits / 6)


def test_what_was_never_said_counts_as_error():
    errors = word_errors(["", "the dog"], ["a cat", "the dog"])
    assert errors.edits.tolist() == [2, 0]
    assert errors.rate() == 1.0
    assert np.isnan(errors.rate(np.array([0])))


def test_utterances_are_pooled_by_their_words_and_can_be_resampled():
    errors = WordErrors(np.array([1, 0]), np.array([2, 8]))
    assert errors.accuracy() == pytest.approx(0.9)
    assert errors.accuracy(np.array([0, 0])) == pytest.approx(0.5)
    low, high = block_bootstrap(errors.accuracy, 2, 1)
    assert (low, high) == (0.5, 1.0)


def test_as_many_texts_are_heard_as_said():
    with pytest.raises(SettingsError, match="1 texts said, 2 heard"):
        word_errors(["a"], ["a", "b"])
