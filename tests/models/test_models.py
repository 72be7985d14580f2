"""A model is its parts in order; wrong parts stop before anything is built."""

import pytest
import torch

from subtr.decoders import DECODERS
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.encoding_model import BoldPredictor, ReadoutParams
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError, validate

IN_DIM, N_FRAMES, DIM = 4, 12, 3
CONV = {
    "position": {"name": "sinusoidal"},
    "encoder": {"name": "multiscale", "hidden_dim": 8, "kernel_frames": [1, 3]},
    "aggregator": {"name": "conv", "hidden_dim": 8},
}


def params(**changes):
    return validate(StreamParams, CONV | changes, "system.yaml: stream")


def frames(n_trs=5, n_frames=N_FRAMES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n_trs, n_frames, IN_DIM, generator=generator)


def stream(seed=0, **changes):
    torch.manual_seed(seed)
    return Stream(IN_DIM, N_FRAMES, DIM, params(**changes)).eval()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"name": "multiscal"}}, r"'multiscal' is no known encoder.*'multiscale'"),
        ({"encoder": {"name": "frame2"}}, r"'frame2' is no known encoder"),
        ({"aggregator": {"name": "means"}}, r"'means' is no known aggregator.*'mean'"),
        ({"position": {"name": "sinus"}}, r"'sinus' is no known position.*'sinusoidal'"),
        ({"aggregator": {"name": "conv", "hiden_dim": 2}}, r"hiden_dim: unknown key.*'hidden_dim'"),
        ({"encoder": {"name": "linear", "hidden_dim": -1}}, r"hidden_dim = -1"),
        ({"encoder": {"hidden_dim": 2}}, r"encoder\.name: missing"),
        ({"agregator": {"name": "mean"}}, r"agregator: unknown key.*'aggregator'"),
        ({"context_frames": -1}, r"context_frames = -1"),
    ],
)
def test_a_wrong_part_is_refused_when_the_file_is_read(changes, message):
    with pytest.raises(SettingsError, match=message):
        params(**changes)


def test_a_part_is_a_name_and_its_options():
    part = Part(name="conv", hidden_dim=8, last_frames=4)
    assert part.options == {"hidden_dim": 8, "last_frames": 4}
    built = Part(name="held").build(DECODERS, 3, 4, 5)
    assert built(torch.zeros(1, 2, 3)).shape == (1, 2, 4, 5)


def test_the_input_goes_to_the_aggregator_as_the_finest_level_when_asked_for():
    made = stream(keep_input=True, context_frames=2, aggregator={"name": "linear"})
    given = torch.nn.functional.pad(frames(), (0, 0, 2, 2))
    with torch.no_grad():
        made.aggregator.basis.weight.zero_()
        # Feature 1 of the TR's own third frame, behind two frames of context.
        made.aggregator.basis.weight[0, 2 * IN_DIM + 1] = 1
        made.aggregator.basis.bias.zero_()
    vectors = made(given, 1.5)
    torch.testing.assert_close(vectors[..., 0], given[:, :, 4, 1])
    assert vectors[..., 1:].abs().max() == 0


def test_pictures_too_go_to_the_aggregator_pixel_by_pixel():
    parts = {"encoder": {"name": "frame2d", "channels": [2], "hidden_dim": 3}}
    parts |= {"aggregator": {"name": "linear"}, "keep_input": True}
    made = Stream((4, 6), 2, DIM, validate(StreamParams, parts, "system.yaml: stream"))
    assert made.aggregator.basis.in_features == 2 * 3 * 4 * 6
    assert made(torch.rand(1, 3, 2, 3, 4, 6), 1.5).shape == (1, 3, DIM)


def test_a_stream_is_position_encoder_aggregator_for_each_tr_by_itself():
    made, given = stream(), frames()
    vectors = made(given, 1.5)
    assert vectors.shape == (2, 5, DIM)
    times_s = (torch.arange(N_FRAMES) + 0.5) / N_FRAMES * 1.5
    for tr in range(5):
        by_hand = made.aggregator(made.encoder(made.position(given[:, tr], times_s, 1.5)))
        torch.testing.assert_close(vectors[:, tr], by_hand, rtol=1e-4, atol=1e-5)
    changed = given.clone()
    changed[:, 2] += 1
    difference = (made(changed, 1.5) - vectors).abs().amax((0, 2))
    assert difference[2] > 1e-3
    assert difference[[0, 1, 3, 4]].max() == 0


@pytest.mark.parametrize("position", ["none", "elapsed", "sinusoidal"])
def test_the_same_weights_run_at_another_tr(position):
    made, given = stream(position={"name": position}), frames()
    one, other = made(given, 1.5), made(given, 2.0)
    assert other.isfinite().all()
    # Only a position knows how long a TR lasts.
    assert torch.equal(one, other) == (position == "none")


def test_context_frames_lie_before_and_after_the_tr():
    made = stream(context_frames=4)
    seen = []
    made.position.forward = lambda frames, times_s, tr_s: (seen.append(times_s), frames)[1]
    made.encoder.forward = lambda frames: [frames]
    made.aggregator.forward = lambda levels: levels[0].mean(1)
    made(frames(n_frames=N_FRAMES + 8), 1.5)
    expected_s = (torch.arange(-4, N_FRAMES + 4) + 0.5) / N_FRAMES * 1.5
    torch.testing.assert_close(seen[0], expected_s)


def test_pictures_go_through_a_picture_encoder():
    torch.manual_seed(0)
    given = {"encoder": {"name": "frame2d", "hidden_dim": 8}, "aggregator": {"name": "conv"}}
    made = Stream((9, 16), 6, DIM, validate(StreamParams, given, "system.yaml"))
    pictures = torch.rand(2, 3, 6, 3, 9, 16)
    backwards = made(pictures.flip(2), 1.5)
    assert (made(pictures, 1.5) - backwards).abs().max() > 1e-3


def test_the_decoder_gets_the_vector_and_nothing_else():
    torch.manual_seed(0)
    model = TemporalAutoencoder(stream(), DECODERS.build("linear", DIM, N_FRAMES, IN_DIM))
    given = frames()
    torch.testing.assert_close(model(given, 1.5), model.decoder(model.stream(given, 1.5)))
    out = model(given, 1.5).detach().flatten(0, 1).flatten(1)
    # Ten TRs through three numbers each lie in three dimensions.
    spread = torch.linalg.svdvals((out - out.mean(0)).double())
    assert spread[2] > 1e-3
    assert spread[3] < 1e-5


def predictor(members=3, seed=0, **readout):
    torch.manual_seed(seed)
    settings = ReadoutParams(vector_dim=DIM, members=members, **readout)
    return BoldPredictor(IN_DIM, N_FRAMES, 1.5, ["a", "b"], 5, params(), settings).eval()


def test_a_prediction_is_the_mean_of_members_that_start_apart():
    model, given = predictor(), frames(n_trs=30)
    members = model.each(given)
    assert len(members) == 3
    for subject, bold in model(given).items():
        each = torch.stack([member[subject] for member in members])
        torch.testing.assert_close(bold, each.mean(0))
        assert each.std(0).max() > 1e-2


def test_bold_follows_its_stimulus_and_the_lead_is_all_that_it_looks_back_to():
    model, given = predictor(members=1), frames(n_trs=40)
    with torch.no_grad():
        before = model(given)["a"]
        changed = given.clone()
        changed[:, 12] += 1.0
        difference = (model(changed)["a"] - before).abs().amax((0, 2))
        reached = difference.nonzero()[:, 0]
    assert reached[0] == 12
    assert reached[-1] == 12 + model.n_lead_trs
    assert model.n_lead_trs * 1.5 >= 22.5


def test_dropout_is_of_the_vector_and_off_in_prediction():
    model, given = predictor(dropout=0.5), frames(n_trs=30)
    assert torch.equal(model(given)["a"], model(given)["a"])
    model.train()
    assert not torch.equal(model(given)["a"], model(given)["a"])
    assert torch.equal(model.vectors(given), model.vectors(given))


def test_neighbouring_frames_reach_the_encoder_but_not_the_aggregator():
    params = StreamParams(encoder={"name": "linear"}, aggregator={"name": "conv"}, context_frames=2)
    stream = Stream(3, 8, 4, params)
    frames = torch.randn(1, 2, 12, 3)
    changed = frames.clone()
    changed[:, :, [0, 1, -2, -1]] += 1
    torch.testing.assert_close(stream(changed, 1.5), stream(frames, 1.5))
    changed[:, :, 9] += 1
    assert not torch.allclose(stream(changed, 1.5), stream(frames, 1.5))
