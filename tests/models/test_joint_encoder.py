"""Sound and pictures meet at the same second, whatever their rates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.models.stream import JointEncoder, at_times
from subtr.params import SettingsError


def joint(sound_per_tr=24, pictures_per_tr=8, picture="s3d", strides=(1, 2), fusion_dim=0):
    torch.manual_seed(0)
    options = {"channels": (4, 6), "hidden_dim": 7}
    if picture == "s3d":
        options["time_strides"] = strides
    return JointEncoder(
        ENCODERS.build("hierarchical", 5, dims=(8, 6), pool_frames=(4,)),
        PICTURE_ENCODERS.build(picture, 9, 16, **options),
        sound_per_tr,
        pictures_per_tr,
        fusion_dim=fusion_dim,
    )


def shown(n_sound=24, n_pictures=8, batch=2):
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(batch, n_sound, 5, generator=generator)
    return mel, torch.rand(batch, n_pictures, 3, 9, 16, generator=generator)


def test_levels_of_both_come_fine_first_and_are_those_of_each_alone():
    encoder, (mel, pictures) = joint(), shown()
    levels = encoder(mel, pictures)
    assert encoder.level_frames == [24, 6, 4]
    assert [level.shape[1] for level in levels] == encoder.level_frames
    assert [level.shape[2] for level in levels] == encoder.level_dims
    fine, coarse = encoder.sound(mel)
    (seen,) = encoder.pictures(pictures)
    for found, alone in zip(levels, (fine, coarse, seen), strict=True):
        assert torch.equal(found, alone)
    assert encoder.frame_hz(1.5) == [16, 4, pytest.approx(8 / 3)]
    # Pictures between two levels of sound, and at a tie after it.
    assert joint(pictures_per_tr=12, picture="frame2d").level_frames == [24, 12, 6]
    assert joint(pictures_per_tr=12, picture="frame2d").level_dims == [8, 7, 6]
    assert joint(pictures_per_tr=6, picture="frame2d").level_dims == [8, 6, 7]


@pytest.mark.parametrize("fusion_dim", [0, 9])
@pytest.mark.parametrize("aggregator", AGGREGATORS.parts)
def test_any_aggregator_works_on_them_and_gradients_reach_both(aggregator, fusion_dim):
    encoder, (mel, pictures) = joint(fusion_dim=fusion_dim), shown()
    pool = AGGREGATORS.build(aggregator, encoder.level_dims, encoder.level_frames, 3)
    target = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam([*encoder.parameters(), *pool.parameters()], lr=1e-3)
    largest = dict.fromkeys(("sound", "pictures", *(["fusion"] if fusion_dim else [])), 0.0)
    for _ in range(2):  # maps that start at zero hold gradients back for one step
        optimizer.zero_grad()
        (pool(encoder(mel, pictures)) - target).square().sum().backward()
        for part in largest:
            gradients = [p.grad for p in getattr(encoder, part).parameters()]
            largest[part] = max(
                largest[part], *(float(g.abs().max()) for g in gradients if g is not None)
            )
        optimizer.step()
    assert min(largest.values()) > 1e-6


class Straight(nn.Module):
    """Hands its input on: what goes in at a time comes out at that time."""

    level_dims = (1,)

    def frame_hz(self, input_frame_hz):
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz):
        return [1 / input_frame_hz]

    def forward(self, frames):
        return [frames.flatten(2)[:, :, :1]]


@pytest.mark.parametrize("context_trs", [0, 1])
@pytest.mark.parametrize(("sound_per_tr", "pictures_per_tr"), [(24, 8), (64, 64), (63, 9), (8, 24)])
def test_impulses_of_the_same_second_land_in_the_same_fused_frame(
    sound_per_tr, pictures_per_tr, context_trs
):
    encoder = JointEncoder(Straight(), Straight(), sound_per_tr, pictures_per_tr, fusion_dim=2)
    with torch.no_grad():  # each stream in a feature of its own
        encoder.fusion.weight.copy_(torch.eye(2))
        encoder.fusion.bias.zero_()
    mel = torch.zeros(1, sound_per_tr, 1)
    n_pictures = pictures_per_tr * (1 + 2 * context_trs)
    slower = min(sound_per_tr, pictures_per_tr)
    for moment in range(slower):  # its centre is that of a frame at both rates
        second = (moment + 0.5) / slower
        heard, seen = mel.clone(), torch.zeros(1, n_pictures, 3, 1, 1)
        heard[0, int(second * sound_per_tr)] = 1
        seen[0, int(second * pictures_per_tr) + context_trs * pictures_per_tr] = 1
        fused, at = encoder(heard, seen)[0][0], int(second * sound_per_tr)
        assert fused[at].tolist() == [1, 1]
        assert fused.max() == 1
        far = (torch.arange(sound_per_tr) - at).abs() >= sound_per_tr / slower
        assert not fused[far].any()
        if 0 < moment < slower - 1:  # the first and the last are held at the ends
            assert fused.argmax(0).tolist() == [at, at]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.floats(-3, 3), st.floats(-3, 3))
def test_what_changes_linearly_is_found_at_any_other_rate(n_given, n_wanted, slope, level):
    times = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (n_given, n_wanted)]
    given, wanted = ((level + slope * time)[None, :, None] for time in times)
    found = at_times(given, n_given, n_wanted, n_wanted)
    first, last = given.min(), given.max()
    torch.testing.assert_close(found, wanted.clamp(first, last))  # held beyond the outer centres


def test_a_fused_frame_sees_what_its_field_says():
    encoder, (mel, pictures) = joint(fusion_dim=9, strides=(1, 1)), shown(72, 24, batch=1)
    pictures.requires_grad_()
    fused = encoder(mel, pictures)[0]
    (fused[0, 35] * torch.arange(1.0, 10.0).cos()).sum().backward()
    reached = pictures.grad[0].flatten(1).abs().sum(1).nonzero()[:, 0]
    tr_s = 1.5
    assert (reached[-1] - reached[0] + 1) * tr_s / 8 == pytest.approx(
        encoder.receptive_field_s(tr_s)[0]
    )


def test_levels_that_do_not_fit_a_tr_and_empty_windows_are_refused():
    with pytest.raises(SettingsError, match=r"levels with 24, 6, 3\.5 frames a TR"):
        joint(pictures_per_tr=7)
    with pytest.raises(SettingsError, match="24 frames of sound and 0 pictures"):
        joint()(*shown(n_pictures=0))
