"""What a film shows, told by classifiers that have learned it from original pictures."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from subtr.judges.judge import Judge
from subtr.judges.pictures import Film, as_bytes
from subtr.params import SettingsError


@dataclass(frozen=True, kw_only=True)
class Probe(Judge):
    """Features that somebody else's model gives of each TR; `learn` adds a logistic regression.

    Options
        strength: of the classifier, inverse of its ridge penalty.
    """

    strength: float = 1.0

    def features(self, film: Film) -> Float[np.ndarray, "tr feature"]:
        """Features of each TR.

        Arguments
            film: 0 to 255 as integers or 0 to 1 as floats.

        Raises
            SettingsError: pictures that are not finite. JudgeMissing: see `check`.
        """
        self.check()
        return self._features(as_bytes(film))

    @abstractmethod
    def _features(self, film: np.ndarray) -> np.ndarray:
        """Features of pictures of 0 to 255."""

    def learn(self, film: Film, labels: Shaped[np.ndarray, " label"]) -> "Learned":
        """A classifier of TRs, from ORIGINAL pictures of training time.

        Raises
            SettingsError: not one label for each TR, or fewer than two different ones; see
                `features`.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if len(labels) != len(film) or len(set(labels)) < 2:
            raise SettingsError(
                f"{len(labels)} labels, {len(set(labels))} of them different, for {len(film)} TRs: "
                "expected one each, and two different ones at least."
            )
        classifier = make_pipeline(
            StandardScaler(), LogisticRegression(C=self.strength, max_iter=2000)
        )
        return Learned(self, classifier.fit(self.features(film), labels))


@dataclass(frozen=True)
class Learned:
    """A probe with its classifier. Its ceiling is its accuracy on the originals of test time."""

    probe: Probe
    classifier: Any

    def right(self, film: Film, labels: Shaped[np.ndarray, " label"]) -> Bool[np.ndarray, " tr"]:
        """Whether each TR is given its label; the mean is the accuracy."""
        return self.classifier.predict(self.probe.features(film)) == np.asarray(labels)


def chance(labels: Shaped[np.ndarray, " tr"], known: Shaped[np.ndarray, " known_tr"]) -> float:
    """Accuracy of always answering with what is most frequent in ``known``, the training labels."""
    names, counts = np.unique(known, return_counts=True)
    return float(np.mean(np.asarray(labels) == names[counts.argmax()]))
