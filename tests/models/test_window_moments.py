"""Moments of all windows are those that the windows themselves have."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.models.linear import PCABaseline, window_moments
from subtr.params import SettingsError


def explicit(streams, n_frames):
    windows = [
        stream[begin : begin + n_frames].flatten()
        for stream in streams
        for begin in range(len(stream) - n_frames + 1)
    ]
    return torch.stack(windows).double()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4).filter(lambda of: max(of) >= 9),
    n_frames=st.integers(1, 8),
    n_features=st.integers(1, 4),
    level=st.sampled_from([0.0, -40.0]),
    seed=st.integers(0, 99),
)
def test_mean_and_covariance_are_those_of_the_windows(lengths, n_frames, n_features, level, seed):
    generator = torch.Generator().manual_seed(seed)
    streams = [level + torch.randn(n, n_features, generator=generator) for n in lengths]
    windows = explicit(streams, n_frames)
    moments = window_moments(streams, n_frames)
    assert moments.n_windows == len(windows)
    torch.testing.assert_close(moments.mean.double(), windows.mean(0), atol=1e-4, rtol=0)
    expected = torch.cov(windows.T).reshape(moments.covariance.shape)
    torch.testing.assert_close(moments.covariance.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("n_frames", "n_features"), [(6, 5), (32, 80)])
def test_components_are_those_of_scikit_learn(n_frames, n_features):
    """The second window is large enough for the solver that finds only what is wanted."""
    torch.manual_seed(0)
    hidden = torch.randn(400, 5).cumsum(0) / 10
    stream = hidden @ torch.randn(5, n_features) + 0.05 * torch.randn(400, n_features)
    expected = PCABaseline(8).fit(explicit([stream], n_frames).float().numpy()[:, None])
    found = PCABaseline(8).fit_moments(window_moments([stream], n_frames))
    np.testing.assert_allclose(found.deviations, expected.deviations, rtol=1e-3)
    agreement = np.abs(found.components @ expected.components.T)
    np.testing.assert_allclose(np.diag(agreement), 1, atol=1e-2)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(8), atol=1e-4)


def test_more_floats_than_windows_are_refused():
    with pytest.raises(SettingsError, match="3 training windows of 8 values hold at most 2"):
        PCABaseline(3).fit_moments(window_moments([torch.randn(6, 2)], 4))
