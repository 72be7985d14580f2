"""A reconstruction that is killed goes on where it was, and gives the same bytes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from media_files import disk_full_after
from tiny_films import film_of, model_file, reconstructed

from subtr.decoders.griffin_lim import GriffinLim
from subtr.experiments import reconstruct as drawing
from subtr.experiments import reconstruct as parts
from subtr.experiments import reconstruct as whole_film
from subtr.experiments.reconstruct import PartsError

REFINED = {"name": "refined", "hidden_dim": 4, "depth": 1}
HERE = Path(__file__).parent


def short_blocks(patch=setattr):
    """So that a film of seconds has many."""
    patch(drawing, "_MOST_TRS", 4)
    patch(GriffinLim, "block_hops", 300)


def killed_at(n_kept: int, film: Path, out: Path, files: list[Path]):
    """The run that kills itself in the middle of writing its n-th block."""
    short_blocks()
    save, n_saved = parts.np.save, 0

    def save_or_die(stream, block):
        nonlocal n_saved
        n_saved += 1
        if n_saved == n_kept:
            stream.write(b"half a block")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(stream, block)

    parts.np.save = save_or_die
    reconstructed(film, out, files)


def run_killed(*given):
    """``killed_at`` in a process of its own."""
    paths = [str(HERE), str(HERE.parent / "helpers"), os.environ.get("PYTHONPATH", "")]
    code = "import ast, sys; from pathlib import Path; import test_reconstruct_interrupted as t; "
    code += "n, film, out, *files = sys.argv[1:]; "
    code += "t.killed_at(int(n), Path(film), Path(out), [Path(file) for file in files])"
    command = [sys.executable, "-c", code, *map(str, given)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
# Pictures are 5 blocks, then the log-mel 5, then the sound some more.
@pytest.mark.parametrize("n_kept", [3, 12])
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(tmp_path, monkeypatch, n_kept):
    short_blocks(monkeypatch.setattr)
    film = film_of(tmp_path / "film.mp4", 30.2)
    files = [model_file(tmp_path, "sound", REFINED), model_file(tmp_path, "pictures")]
    whole = reconstructed(film, tmp_path / "whole.mp4", files)
    out, folder = tmp_path / "out.mp4", tmp_path / ".out.mp4.parts"
    run_killed(n_kept, film, out, *files)
    assert not out.exists()
    kept = set(folder.glob("*.npy"))
    assert len(kept) == n_kept - 1

    made, keep = [], parts.Parts.keep
    monkeypatch.setattr(
        parts.Parts, "keep", lambda of, *block: made.append(block[:2]) or keep(of, *block)
    )
    assert reconstructed(film, out, files).read_bytes() == whole.read_bytes()
    n_blocks = len(made) + len(kept)
    assert n_blocks > 12
    assert not {folder / f"{kind}-{index:05d}.npy" for kind, index in made} & kept
    # Nothing half-written stays anywhere.
    assert not list(tmp_path.glob(".*"))


def test_another_job_at_the_same_place_begins_anew(tmp_path, monkeypatch):
    film, file = film_of(tmp_path / "film.mp4", 9.0), model_file(tmp_path, "sound")

    def stopped(path, *_):
        path.with_name(f".{path.name}.part").write_bytes(b"half a film")
        raise KeyboardInterrupt

    monkeypatch.setattr(whole_film, "write_film", stopped)
    with pytest.raises(KeyboardInterrupt):
        reconstructed(film, tmp_path / "out.mp4", [file])
    monkeypatch.undo()
    assert list((tmp_path / ".out.mp4.parts").glob("pieces-*.npy"))
    fresh = reconstructed(film, tmp_path / "fresh.mp4", [file], tr_s=2.0)
    again = reconstructed(film, tmp_path / "out.mp4", [file], tr_s=2.0)
    assert again.read_bytes() == fresh.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_said_and_the_same_call_goes_on(tmp_path, monkeypatch):
    short_blocks(monkeypatch.setattr)
    film, file = film_of(tmp_path / "film.mp4", 24.0), model_file(tmp_path, "sound")
    message = r"out\.mp4\.parts cannot be written: .*Free space.*the same call goes on"
    # A block of log-mel fits, a piece of sound does not.
    with disk_full_after(20_000), pytest.raises(PartsError, match=message):
        reconstructed(film, tmp_path / "out.mp4", [file])
    names = [path.name for path in (tmp_path / ".out.mp4.parts").iterdir()]
    assert "sound-00000.npy" in names
    assert not [name for name in names if name.startswith(("pieces", "."))]
    whole = reconstructed(film, tmp_path / "whole.mp4", [file])
    assert reconstructed(film, tmp_path / "out.mp4", [file]).read_bytes() == whole.read_bytes()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    film, file = film_of(tmp_path / "film.mp4", 3.0), model_file(tmp_path, "sound")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PartsError, match=r"file.\.out\.mp4\.parts cannot be written: Not a dir"):
        reconstructed(film, tmp_path / "file" / "out.mp4", [file])
