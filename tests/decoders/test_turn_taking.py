"""Members that learn in turns: one a batch while training, their mean afterwards."""

import pytest
import torch

from subtr.decoders import DECODERS
from subtr.decoders.mel import TurnTaking

N_FRAMES, N_BANDS, DIM = 24, 6, 5


def decoder_of(n_members):
    torch.manual_seed(0)
    sizes = {"hidden_dim": 4, "depth": 1, "members": n_members}
    decoder = DECODERS.build("refined", DIM, N_FRAMES, N_BANDS, **sizes)
    for name, values in decoder.named_parameters():
        if ".give." in name:
            torch.nn.init.normal_(values, std=0.3)
    return decoder


def test_the_mean_answers_once_training_is_over():
    decoder = decoder_of(3).eval()
    vectors = torch.randn(2, 4, DIM)
    whole = decoder.linear(vectors).flatten(1, 2)
    each = [member(whole) for member in decoder.refinement]
    assert (each[0] - each[1]).abs().max() > 0.01
    expected = torch.stack(each).mean(0).unflatten(1, (4, N_FRAMES))
    torch.testing.assert_close(decoder(vectors), expected)


def test_each_batch_teaches_one_member_and_all_have_their_turn():
    decoder, taught = decoder_of(3).train(), set()
    for seed in range(20):
        torch.manual_seed(seed)
        decoder.zero_grad()
        decoder(torch.randn(2, 4, DIM)).square().sum().backward()
        got = [
            any(one.grad is not None and one.grad.any() for one in member.parameters())
            for member in decoder.refinement
        ]
        assert sum(got) == 1
        assert decoder.linear.map.weight.grad.any()
        taught.add(got.index(True))
    assert taught == {0, 1, 2}


def test_the_same_seed_gives_the_same_turns():
    decoder, vectors = decoder_of(4).train(), torch.randn(1, 3, DIM)

    def drawn():
        torch.manual_seed(5)
        return torch.stack([decoder(vectors) for _ in range(6)])

    assert torch.equal(drawn(), drawn())
    assert len(torch.unique(drawn()[:, 0, 0, 0, 0])) > 1


def test_one_member_is_the_decoder_without():
    assert not any("refinement.0" in name for name in decoder_of(1).state_dict())


def test_the_mean_of_what_learned_from_different_batches_errs_less():
    """Least squares from 12 noisy examples each, of a known map: members err independently."""
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(8, generator=generator)
    members = []
    for _ in range(4):
        given = torch.randn(12, 8, generator=generator)
        said = given @ true + 0.5 * torch.randn(12, generator=generator)
        member = torch.nn.Linear(8, 1, bias=False)
        member.weight.data = torch.linalg.lstsq(given, said[:, None]).solution.T
        members.append(member)
    unseen = torch.randn(200, 8, generator=generator)
    joined = TurnTaking(members).eval()

    def error(of):
        return (of(unseen)[:, 0] - unseen @ true).square().mean().item()

    assert error(joined) < 0.6 * sum(map(error, members)) / len(members)


@pytest.mark.parametrize("wrong", [0, 33])
def test_members_are_some(wrong):
    with pytest.raises(ValueError, match="members"):
        DECODERS.check("refined", {"members": wrong})
