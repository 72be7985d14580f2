"""Long films for the measurements here, made in little time, and what FFmpeg says of them."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

# A whole number of pictures and of groups of pictures, so that repeats join without a seam.
PART_S = 60
_CODEC = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-g", 48)

# For the end of a program in a process of its own, so that the peak is its own.
PEAK_GB = """
status = Path("/proc/self/status")
if status.exists():  # getrusage would count the parent's peak as well
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")][0]
    peak_gb = int(peak.split()[1]) * 1024 / 1e9
else:
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
"""


def ffmpeg(*arguments):
    """Runs FFmpeg; wall-clock seconds."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments]
    begin = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True)
    return time.perf_counter() - begin


def film_part(file: Path, more: str = "") -> Path:
    """A minute of 854 x 480 H.264 at 24 pictures a second; ``more`` is drawn over it."""
    source = f"testsrc=size=854x480:rate=24:duration={PART_S}" + more
    ffmpeg("-f", "lavfi", "-i", source, *_CODEC, file)
    return file


def film_with_event(file: Path, n_parts: int, sound: np.ndarray, rate_hz: int) -> float:
    """Minutes of film with a sound that is repeated; its last seconds are black and silent but for
    a flash and a tone of half a second, the second of whose beginning is returned."""
    flash = "between(t,57.5,57.999)"
    dark = "drawbox=color=black:t=fill:enable='gte(t,56)'"
    over = f",{dark},drawbox=color=white:t=fill:enable='{flash}'"
    parts = [film_part(file.with_name("part.mp4"))] * (n_parts - 1)
    parts += [film_part(file.with_name("last.mp4"), over)]
    listed = file.with_name("parts.txt")
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    heard = np.resize(sound, n_parts * PART_S * rate_hz).astype(np.float32)
    event_s = (n_parts - 1) * PART_S + 57.5
    heard[round((event_s - 1.5) * rate_hz) :] = 0
    time_s = np.arange(rate_hz // 2) / rate_hz
    heard[round(event_s * rate_hz) :][: len(time_s)] = 0.6 * np.sin(2 * np.pi * 700 * time_s)
    wav = file.with_name("sound.wav")
    soundfile.write(wav, heard, rate_hz)
    pictures = ("-f", "concat", "-safe", 0, "-i", listed)
    ffmpeg(*pictures, "-i", wav, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", file)
    for made in {*parts, listed, wav}:
        made.unlink()
    return event_s


def run_apart(code: str, *given, threads: int = 2, **variables) -> dict:
    """The JSON that a program prints last, in a process of its own with so many threads."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)} | variables
    command = [sys.executable, "-c", code, *map(str, given)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def ffprobe_ends_s(film: Path) -> dict[str, float]:
    """The seconds at which ffprobe says that video and audio end; empty where there is none."""
    if shutil.which("ffprobe") is None:
        return {}
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", str(film)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    streams = json.loads(done.stdout)["streams"]
    return {one["codec_type"]: float(one["start_time"]) + float(one["duration"]) for one in streams}
