"""Word errors of transcripts, utterance by utterance, so that they can be resampled."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int, Int64

from subtr.params import SettingsError


@dataclass(frozen=True)
class WordErrors:
    """Edits and words of each utterance.

    Arguments
        edits: words to substitute, insert or delete.
        words: words that were said.
    """

    edits: Int64[np.ndarray, " utterance"]
    words: Int64[np.ndarray, " utterance"]

    def rate(self, chosen: Int[np.ndarray, " chosen"] | None = None) -> float:
        """Word error rate pooled over utterances: all edits / all words.

        Arguments
            chosen: places of the utterances, with repetition as a bootstrap draws them; None for
                all. NaN where they hold no word.
        """
        chosen = np.arange(len(self.words)) if chosen is None else chosen
        words = self.words[chosen].sum()
        return float(self.edits[chosen].sum() / words) if words else float("nan")

    def accuracy(self, chosen: Int[np.ndarray, " chosen"] | None = None) -> float:
        """1 - `rate`: at most 1, below 0 where more words are invented than were said."""
        return 1.0 - self.rate(chosen)


def word_errors(said: list[str], heard: list[str]) -> WordErrors:
    """Word errors of what was heard, after `normalised` of both.

    Raises
        SettingsError: different numbers of texts.

    Source: Levenshtein alignment of words, jiwer.
    """
    import jiwer

    if len(said) != len(heard):
        raise SettingsError(f"{len(said)} texts said, {len(heard)} heard: expected as many.")
    edits, words = [], []
    for truth, found in zip(map(normalised, said), map(normalised, heard), strict=True):
        if truth:
            of = jiwer.process_words(truth, found)
            edits.append(of.substitutions + of.deletions + of.insertions)
        else:  # jiwer refuses a text without words
            edits.append(len(found.split()))
        words.append(len(truth.split()))
    return WordErrors(np.array(edits, np.int64), np.array(words, np.int64))


def normalised(text: str) -> str:
    """English text as scored: what is no error of hearing is made alike.

    Lower case; punctuation, brackets with their content and fillers such as "um" removed; numbers
    as digits ("twenty five" -> "25"); contractions written out ("won't" -> "will not"); British
    spelling made American.

    Source: Radford et al. 2023, appendix C.
    """
    return _normaliser()(text).strip()


@lru_cache(maxsize=1)
def _normaliser() -> Any:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()
