"""Sound and pictures of a TR to one vector, whatever else the neighbouring TRs hold."""

import pytest
import torch

from subtr.models.batches import SoundAndPictures
from subtr.models.stream import JointStream, PictureStreamParams, Stream, StreamParams
from subtr.params import SettingsError, validate

N_FRAMES, N_PICTURES, N_BANDS, DIM, TR_S = 12, 4, 3, 5, 1.5
SOUND = {
    "encoder": {"name": "hierarchical", "dims": [6, 5], "pool_frames": [6]},
    "aggregator": {"name": "mean"},
}
PICTURES = {"encoder": {"name": "frame2d", "channels": [4], "hidden_dim": 7}}


def joint(sound=None, pictures=None, seed=0):
    torch.manual_seed(seed)
    options = validate(PictureStreamParams, PICTURES | (pictures or {}), "system.yaml")
    params = validate(StreamParams, SOUND | (sound or {}), "system.yaml")
    return JointStream(N_BANDS, N_FRAMES, (N_PICTURES, 6, 8), DIM, params, options)


def shown(n_trs=3, context_frames=0, context_pictures=0):
    generator = torch.Generator().manual_seed(0)
    return SoundAndPictures(
        torch.randn(2, n_trs, N_FRAMES + 2 * context_frames, N_BANDS, generator=generator),
        torch.rand(2, n_trs, N_PICTURES + 2 * context_pictures, 3, 6, 8, generator=generator),
    )


def test_a_vector_hears_and_sees_its_own_tr_alone():
    stream, given = joint(), shown()
    vectors = stream(given, TR_S)
    for name in ("frames", "pictures"):
        part = getattr(given, name).clone()
        part[:, 1] += 1
        change = stream(given._replace(**{name: part}), TR_S) - vectors
        assert change[:, 1].abs().max() > 1e-4
        assert change[:, [0, 2]].abs().max() == 0


def test_context_reaches_encoders_and_never_the_aggregator():
    wide = joint({"context_frames": 6}, {"context_pictures": 2, "fusion_dim": 4})
    sizes = []
    wide.aggregator.register_forward_pre_hook(
        lambda _, levels: sizes.extend(level.shape[1] for level in levels[0])
    )
    given = shown(context_frames=6, context_pictures=2)
    vectors = wide(given, TR_S)
    assert sizes == [12, 12, 4, 2]  # fused, sound, pictures, coarse sound
    # Pictures are seen one by one, so those of the neighbours change nothing.
    far = given.pictures.clone()
    far[:, :, :2] += 1
    narrow = joint({"context_frames": 6}, {"context_pictures": 2})
    torch.testing.assert_close(
        narrow(given._replace(pictures=far), TR_S), narrow(given, TR_S), rtol=0, atol=0
    )
    assert vectors.shape == (2, 3, DIM)


def test_without_weight_on_pictures_it_is_the_stream_of_the_sound():
    stream = joint({"keep_input": True})
    alone = Stream(N_BANDS, N_FRAMES, DIM, validate(StreamParams, SOUND | {"keep_input": True}, ""))
    alone.encoder.load_state_dict(stream.encoder.sound.state_dict())
    names = stream.level_names(TR_S)
    assert names == ["the input", "sound at 8 Hz", "pictures at 2.67 Hz", "sound at 1.33 Hz"]
    given, seen = shown(), {}
    for which in (stream, alone):
        which.aggregator.register_forward_pre_hook(
            lambda module, levels: seen.update({id(module): levels[0]})
        )
    stream(given, TR_S)
    alone(given.frames, TR_S)
    of_joint, of_sound = seen[id(stream.aggregator)], seen[id(alone.aggregator)]
    for level, name in zip(of_sound, (0, 1, 3), strict=True):
        torch.testing.assert_close(of_joint[name], level)


def test_what_is_pretrained_is_the_very_encoder_of_the_sound():
    stream = joint()
    part = stream.sound
    assert part.encoder is stream.encoder.sound
    assert part.position is stream.position
    assert (part.frames_per_tr, part.context_frames) == (N_FRAMES, 0)


@pytest.mark.parametrize(
    ("sound", "pictures", "message"),
    [
        ({"context_frames": 4}, {}, "context_frames = 4: expected a multiple of 6"),
        ({}, {"encoder": {"name": "s4d"}}, "'s4d' is no known picture encoder"),
        ({}, {"encoder": {"name": "frame2d", "channel": [4]}}, "channel"),
    ],
)
def test_what_does_not_fit_is_refused(sound, pictures, message):
    with pytest.raises(SettingsError, match=message):
        joint(sound, pictures)
