"""A wrong parameter stops at once and says what is wrong."""

from typing import Annotated

import pytest
from pydantic import Field

from subtr.errors import SettingsError
from subtr.params import (
    Strict,
    check_options,
    load_params,
    params_folder,
    params_hash,
    read_yaml,
    unhashed_default,
    validate,
)


class Inner(Strict):
    tr_s: float = Field(default=1.5, gt=0.1, le=20)


class Outer(Strict):
    clock: Inner = Inner()
    n_mels: int = 128


class Part:
    def __init__(self, in_dim: int, *, hidden_dim: Annotated[int, Field(ge=1)] = 8, name: str = ""):
        pass


def test_unknown_key_names_the_nearest_right_one():
    with pytest.raises(SettingsError, match=r"clock\.tr_sec: unknown key.*'tr_s'"):
        validate(Outer, {"clock": {"tr_sec": 1.5}}, "study.yaml")


def test_impossible_value_names_key_value_and_range():
    with pytest.raises(SettingsError, match=r"clock\.tr_s = 1500: .*less than or equal to 20"):
        validate(Outer, {"clock": {"tr_s": 1500}}, "study.yaml")


def test_every_problem_is_listed():
    with pytest.raises(SettingsError) as error:
        validate(Outer, {"clock": {"tr_s": -1}, "n_mel": 3}, "study.yaml")
    assert "study.yaml" in str(error.value)
    assert "clock.tr_s" in str(error.value)
    assert "n_mel: unknown key" in str(error.value)


def test_a_repeated_key_is_refused(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("n_mels: 3\nn_mels: 4\n")
    with pytest.raises(SettingsError, match=r"n_mels.*twice"):
        read_yaml(file)


@pytest.mark.parametrize(("text", "message"), [("a: [", "not valid YAML"), ("- 1", "list")])
def test_broken_files(tmp_path, text, message):
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_params(Outer, file)


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "study_alice.yaml").write_text("n_mels: 3")
    with pytest.raises(SettingsError, match="study_alice"):
        read_yaml(tmp_path / "study_alise.yaml")


def test_unknown_set_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_PARAMS", str(tmp_path))
    (tmp_path / "smoke").mkdir()
    with pytest.raises(SettingsError, match="Did you mean 'smoke'"):
        params_folder("smok")


def test_options_are_checked_against_the_signature():
    assert check_options(Part, {"hidden_dim": "16"}, "encoder") == {"hidden_dim": 16}
    with pytest.raises(SettingsError, match="hidden_dim = 0"):
        check_options(Part, {"hidden_dim": 0}, "encoder")
    with pytest.raises(SettingsError, match=r"hiden_dim: unknown key.*hidden_dim"):
        check_options(Part, {"hiden_dim": 4}, "encoder")


def test_hash_follows_values():
    assert params_hash(Outer()) == params_hash(Outer(n_mels=128))
    assert params_hash(Outer()) != params_hash(Outer(n_mels=64))


def test_a_later_option_changes_the_hash_only_where_it_is_used():
    class Later(Outer):
        voices: int = unhashed_default(1)

    assert params_hash(Later()) == params_hash(Outer())
    assert params_hash(Later(voices=2)) != params_hash(Outer())
    assert Later(**Later(voices=2).model_dump()).voices == 2
