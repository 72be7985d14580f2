"""``python -m subtr.experiments.reconstruct`` finds, or trains, a system and writes what it
draws.
"""

import pytest
from tiny_experiment import STUDY, SYSTEM, write
from tiny_films import film_of, model_file

from subtr.experiments import reconstruct as whole_film
from subtr.experiments.reconstruct import main
from subtr.models.saved import AUTOENCODER_FILE, load_autoencoder
from subtr.stimulus.media import probe


def test_a_system_is_trained_once_and_draws_any_film(tmp_path, capsys):
    load = {name: STUDY["load"][name] for name in ("frames_per_tr", "mel", "pictures")}
    params = write(tmp_path / "tiny", study_film=STUDY | {"load": load}, system_small=SYSTEM)
    film, learned = film_of(tmp_path / "film.mp4", 20.0), film_of(tmp_path / "learned.mp4", 60.0)
    out = tmp_path / "out.mp4"
    given = ["--film", str(film), "--out", str(out), "--params", params, "--system", "small"]
    given += ["--study", "film", "--study-film", str(learned), "--floats", "3"]
    given += ["--runs", str(tmp_path / "runs")]
    assert main(given) == 0
    info = probe(out)
    assert (info.sound_rate_hz, info.height, info.width) == (8000, 6, 8)
    assert info.duration_s == pytest.approx(20.0, abs=0.76)
    told = capsys.readouterr().out
    assert "20.0 s of film from 3 floats of sound and 2 floats of pictures a TR of 1.5 s" in told
    assert "times real time" in told
    trained = sorted((tmp_path / "runs").rglob(AUTOENCODER_FILE))
    assert [load_autoencoder(file).spec.modality for file in trained] == ["pictures", "sound"]
    first = out.read_bytes()
    assert main(given) == 0
    assert "epochs" not in capsys.readouterr().out
    assert out.read_bytes() == first
    # The files of the training are all that is needed.
    assert main([*given[:4], "--models", *map(str, trained)]) == 0
    assert out.read_bytes() == first
    assert main([*given, "--fold", "7"]) == 2
    assert "fold = 7: expected 0 to 0" in capsys.readouterr().err


def test_errors_and_ctrl_c_are_said(tmp_path, monkeypatch, capsys):
    film, file = film_of(tmp_path / "film.mp4", 3.0), model_file(tmp_path, "pictures")
    given = ["--film", str(film), "--models", str(file), "--out"]
    assert main([*given, str(tmp_path / "out.avi")]) == 2
    assert "error: out = " in capsys.readouterr().err
    assert main([*given, str(tmp_path / "out.mp4"), "--content", "noise"]) == 2
    assert "--content" in capsys.readouterr().err

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(whole_film, "write_film", stopped)
    assert main([*given, str(tmp_path / "out.mp4")]) == 130
    assert "the same command goes on" in capsys.readouterr().err
