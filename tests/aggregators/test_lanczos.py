"""Low-passing within the window is what the baseline does of a TR alone, and what its cut-off
says.
"""

import numpy as np
import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.models.linear import lanczos_baseline


def weights(n_frames, **options):
    return AGGREGATORS.build("lanczos", [2], [n_frames], 3, **options).weights(n_frames)


@pytest.mark.parametrize("lobes", [1, 3])
@pytest.mark.parametrize("n_frames", [1, 8, 9, 64])
def test_it_keeps_what_the_baseline_keeps_of_a_tr_alone(n_frames, lobes):
    made = AGGREGATORS.build("lanczos", [2], [n_frames], 2, lobes=lobes)
    with torch.no_grad():
        made.map.weight.copy_(torch.eye(2))
        made.map.bias.zero_()
    window = torch.randn(1, n_frames, 2, generator=torch.Generator().manual_seed(0))
    baseline = lanczos_baseline(window.numpy(), lobes)  # the sample, held for the whole TR
    np.testing.assert_allclose(
        made([window]).detach().numpy(), baseline[:, 0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("cutoff", [0.5, 1.0, 4.0, 1000.0])
@pytest.mark.parametrize("n_frames", [1, 2, 7, 64])
def test_a_constant_stays_a_constant_and_both_halves_count_alike(n_frames, cutoff):
    kernel = weights(n_frames, cutoff=cutoff)
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    torch.testing.assert_close(kernel, kernel.flip(0))


def test_the_cutoff_decides_which_rhythms_pass():
    time_tr = (torch.arange(256) + 0.5) / 256 - 0.5
    kernel = weights(256, cutoff=16.0)  # passes up to 8 cycles a TR
    gain = {n: float(kernel @ torch.cos(2 * torch.pi * n * time_tr)) for n in (2, 4, 8, 16, 32)}
    assert gain[2] == pytest.approx(1, abs=0.03)
    assert gain[4] == pytest.approx(1, abs=0.06)
    assert gain[8] == pytest.approx(0.5, abs=0.02)  # the cut-off is where half passes
    assert abs(gain[16]) < 0.03
    assert abs(gain[32]) < 0.03


def test_at_the_frames_own_rate_it_takes_the_middle_frame():
    torch.testing.assert_close(weights(9, cutoff=9.0), torch.eye(9)[4], rtol=0, atol=1e-5)
    # A cut-off that no level can have is the highest that this one can.
    torch.testing.assert_close(weights(8, cutoff=500.0), weights(8, cutoff=8.0))
