"""Items hold the frames and the BOLD that they should, from the TRs that they may see."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from subtr.models.batches import WindowBatches, timeline_batch, window_batches, with_context
from subtr.params import SettingsError
from subtr.timeline import consecutive

N_TRS, N_FRAMES = 40, 4
# Every frame holds its own number, so that an item tells where it was taken from.
FRAMES = torch.arange(N_TRS * N_FRAMES, dtype=torch.float32).reshape(N_TRS, N_FRAMES, 1)
TWO_RUNS = np.repeat([0, 1], [18, 22])


@given(st.lists(st.booleans(), min_size=40, max_size=40), st.integers(1, 39))
def test_stretches_hold_every_tr_once_without_hole_or_change_of_run(chosen, border):
    trs = np.flatnonzero(chosen)
    run_of_tr = (np.arange(40) >= border).astype(np.int64)
    stretches = consecutive(trs, run_of_tr)
    assert np.concatenate([*stretches, trs[:0]]).tolist() == trs.tolist()
    for stretch in stretches:
        assert (np.diff(stretch) == 1).all()
        assert len(set(run_of_tr[stretch])) == 1
    ends = [(a[-1], b[0]) for a, b in pairwise(stretches)]
    for last, first in ends:  # nothing was cut that could have stayed whole
        assert first - last > 1 or run_of_tr[last] != run_of_tr[first]


def batches(**options):
    stretches = consecutive(np.r_[0:10, 14:18, 18:20, 30:31], TWO_RUNS)
    given = {"item_trs": 2, "batch_size": 8, "n_batches": 60, "seed": 5} | options
    return WindowBatches(FRAMES, stretches, **given), stretches


@pytest.mark.parametrize("any_offset", [True, False])
def test_windows_are_runs_of_frames_inside_of_a_stretch(any_offset):
    made, stretches = batches(any_offset=any_offset)
    allowed = {
        first
        for stretch in stretches
        for first in range(stretch[0] * N_FRAMES, (stretch[-1] - 1) * N_FRAMES + 1)
        if any_offset or first % N_FRAMES == 0
    }
    starts = set()
    for batch in made:
        numbers = batch["frames"].flatten(1)
        assert (numbers.diff(dim=1) == 1).all()
        starts |= {int(first) for first in numbers[:, 0]}
    # 480 draws of 41 places, or of 13, miss none.
    assert starts == allowed


def test_the_same_seed_gives_the_same_windows_and_another_does_not():
    first, again, other = (torch.cat([b["frames"] for b in batches(seed=s)[0]]) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(batches()[0]) == 60


def test_an_item_longer_than_any_stretch_is_refused():
    with pytest.raises(SettingsError, match="item_trs = 11: no more than 10 consecutive TRs"):
        batches(item_trs=11)
    assert batches(item_trs=10)[0]._starts.tolist() == [0]


def test_pictures_keep_their_axes():
    pictures = torch.arange(6 * 2 * 3 * 4 * 5).reshape(6, 2, 3, 4, 5)
    made = WindowBatches(pictures, [np.arange(6)], 3, 2, 4, 0, any_offset=False)
    for batch in made:
        for item in batch["frames"]:
            first = int(item[0, 0, 0, 0, 0]) // (2 * 3 * 4 * 5)
            assert torch.equal(item, pictures[first : first + 3])


@given(st.integers(1, 40))
def test_every_tr_is_given_once_in_order_whatever_the_piece(longest_trs):
    stretches = consecutive(np.r_[0:17, 20:40], np.zeros(40, np.int64))
    made = window_batches(FRAMES, stretches, longest_trs)
    assert torch.equal(torch.cat([b["frames"][0] for b in made]), FRAMES[np.r_[0:17, 20:40]])
    assert max(b["frames"].shape[1] for b in made) <= longest_trs


@pytest.mark.parametrize("n_context", [0, 1, 3, 6])
def test_context_is_the_neighbours_frames_and_nothing_from_another_run(n_context):
    wider = with_context(FRAMES + 1, n_context, TWO_RUNS)[..., 0]
    for tr in range(N_TRS):
        numbers = np.arange(tr * N_FRAMES - n_context, (tr + 1) * N_FRAMES + n_context)
        inside = (numbers >= 0) & (numbers < N_TRS * N_FRAMES)
        clipped = np.clip(numbers // N_FRAMES, 0, N_TRS - 1)
        inside &= TWO_RUNS[clipped] == TWO_RUNS[tr]
        assert wider[tr].tolist() == np.where(inside, numbers + 1, 0).tolist()


def timeline(trs, run_of_tr=TWO_RUNS, n_lead_trs=3, item_trs=8, n_after_trs=0):
    # Volume t measures t, in the second subject 100 + t: the item tells which it holds.
    numbers = torch.arange(N_TRS, dtype=torch.float32)[:, None]
    bold = {"a": numbers, "b": numbers + 100}
    stretches = consecutive(trs, run_of_tr)
    more = (n_lead_trs, item_trs, n_after_trs)
    return timeline_batch(FRAMES + 1, bold, stretches, run_of_tr, *more)


def test_each_permitted_volume_is_asked_for_once_and_no_other():
    trs = np.r_[2:13, 15:31]
    batch = timeline(trs)
    for subject, offset in (("a", 0), ("b", 100)):
        wanted = batch["bold"][subject][..., 0]
        known = wanted[wanted.isfinite()] - offset
        assert sorted(known.tolist()) == trs.tolist()


@pytest.mark.parametrize("n_after_trs", [1, 5])
def test_trs_after_an_item_are_shown_and_asked_for_by_none_but_their_own(n_after_trs):
    trs = np.r_[2:13, 15:31]
    batch = timeline(trs, n_after_trs=n_after_trs)
    wanted = batch["bold"]["a"][..., 0]
    assert sorted(wanted[wanted.isfinite()].tolist()) == trs.tolist()
    assert wanted.shape[1] == batch["frames"].shape[1] == 3 + 8 + n_after_trs
    assert torch.equal(batch["wanted"], wanted.isfinite())
    for frames, bold in zip(batch["frames"], wanted, strict=True):
        for place in torch.nonzero(bold.isfinite())[:, 0]:
            for ahead in range(n_after_trs + 1):
                after = int(bold[place]) + ahead
                shown = after < N_TRS and TWO_RUNS[after] == TWO_RUNS[after - ahead]
                expected = FRAMES[after] + 1 if shown else torch.zeros_like(FRAMES[0])
                assert torch.equal(frames[place + ahead], expected)


def test_bold_lies_beside_the_stimulus_of_its_own_tr_with_its_lead_before():
    batch = timeline(np.r_[2:13, 15:31])
    for frames, bold in zip(batch["frames"], batch["bold"]["a"][..., 0], strict=True):
        asked = torch.nonzero(bold.isfinite())[:, 0]
        assert asked[0] >= 3
        for place in asked:
            tr = int(bold[place])
            assert torch.equal(frames[place], FRAMES[tr] + 1)
            for lag in range(1, 4):  # what the response looks back to is there, or was never shown
                before = tr - lag
                shown = before >= 0 and TWO_RUNS[before] == TWO_RUNS[tr]
                expected = FRAMES[before] + 1 if shown else torch.zeros_like(FRAMES[0])
                assert torch.equal(frames[place - lag], expected)
