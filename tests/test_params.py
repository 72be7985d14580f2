"""A wrong parameter stops at once and says what is wrong."""

from typing import Annotated

import pytest
from pydantic import Field

from subtr.params import (
    SettingsError,
    Strict,
    check_options,
    layered,
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


class Layered(Strict):
    clock: Inner = Inner()
    n_mels: int = 128
    encoder: dict = Field(default_factory=dict)


@pytest.fixture
def sets(tmp_path):
    """Writes a file of a set, such as smoke/study.yaml; gives its path."""

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_file_says_only_what_differs_from_its_base(sets):
    sets("smoke/study.yaml", "n_mels: 40\nclock: {tr_s: 2.0}\nencoder: {name: wide, depth: 3}\n")
    more = sets("more/study.yaml", "base: smoke\nn_mels: 80\n")
    most = sets("most/study.yaml", "base: more\nclock: {tr_s: 1.0}\nencoder: {name: deep}\n")
    given = load_params(Layered, more)
    assert (given.n_mels, given.clock.tr_s) == (80, 2.0)
    assert given.encoder == {"name": "wide", "depth": 3}
    given = load_params(Layered, most)
    # A part takes the place of a part with all its options.
    assert (given.n_mels, given.clock.tr_s, given.encoder) == (80, 1.0, {"name": "deep"})


def test_a_base_may_be_a_file_beside_it(sets):
    sets("gallery/first.yaml", "n_mels: 40\nclock: {tr_s: 2.0}\n")
    second = sets("gallery/second.yaml", "base: first.yaml\nn_mels: 80\n")
    assert load_params(Layered, second) == Layered(clock=Inner(tr_s=2.0), n_mels=80)


def test_layers_merge_within_mappings_but_not_within_parts():
    under = {"sound": {"decoder": {"name": "linear", "depth": 1}, "training": {"epochs": 3}}}
    over = {"sound": {"decoder": {"name": "held"}, "training": {"rate": 0.1}}}
    assert layered(over, under)["sound"] == {
        "decoder": {"name": "held"},
        "training": {"epochs": 3, "rate": 0.1},
    }
    assert layered({"sound": None}, under) == {"sound": None}
    assert under["sound"]["training"] == {"epochs": 3}


def test_each_wrong_value_is_told_with_its_own_file(sets):
    below = sets("smoke/study.yaml", "n_mel: 40\n")
    above = sets("full/study.yaml", "base: smoke\nclock: {tr_s: 1500}\n")
    with pytest.raises(SettingsError) as error:
        load_params(Layered, above)
    lines = str(error.value).splitlines()
    assert lines[lines.index(f"{above}:") + 1].startswith("  clock.tr_s = 1500")
    assert lines[lines.index(f"{below}:") + 1].startswith("  n_mel: unknown key")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: smok\n", "Did you mean 'smoke'"),
        ("base: smoke\n", r"smoke.study\.yaml does not exist"),
        ("base: other.yaml\n", r"other\.yaml does not exist"),
        ("base: study.yaml\n", "circle"),
        ("base: 3\n", "base = 3: expected a set"),
    ],
)
def test_a_base_that_cannot_be_read(sets, monkeypatch, tmp_path, text, message):
    monkeypatch.setenv("SUBTR_PARAMS", str(tmp_path))
    sets("smoke/system.yaml", "n_mels: 3\n")
    with pytest.raises(SettingsError, match=message):
        load_params(Layered, sets("full/study.yaml", text))
