"""Pictures whose nearness is known: the same, noise, and more and less of a change."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.video import FrameQuality, Lpips
from subtr.params import SettingsError
from subtr.stimulus.pretrained import LpipsNetwork, lpips_from

HIGHER_IS_BETTER = {"frame correlation": 1, "ssim": 1, "psnr": 1, "lpips": -1, "vmaf": 1}
PERFECT = {"frame correlation": 1.0, "ssim": 1.0, "psnr": 100.0, "lpips": 0.0, "vmaf": 98.5}


def judge_at_hand(name):
    try:
        return load_judge(name)
    except JudgeMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def film():
    """A smooth texture that slides to the right, half a second a TR."""
    rng = np.random.default_rng(0)
    wide = gaussian_filter(rng.standard_normal((36, 200, 3)), (1.5, 1.5, 0))
    wide = 127 + 110 * wide / np.abs(wide).max()
    pictures = [wide[:, 100 - 3 * n : 164 - 3 * n] for n in range(16)]
    return np.rint(pictures).astype(np.uint8).reshape(4, 4, 36, 64, 3)


@pytest.mark.parametrize("name", ["frames", "lpips", "vmaf"])
def test_order_of_what_is_known_to_be_worse(film, name):
    judge = judge_at_hand(name)
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, film.shape).astype(np.uint8)
    worse = {
        "identity": film,
        "a little noise": np.clip(film + rng.normal(0, 4, film.shape), 0, 255).astype(np.uint8),
        "average": np.rint(film.mean(1, keepdims=True)).repeat(4, axis=1).astype(np.uint8),
        "noise": noise,
    }
    found = {label: judge.compare(film, other) for label, other in worse.items()}
    shuffled = judge.compare(film, film[:, [2, 0, 3, 1]])
    for measure, perfect in found["identity"].items():
        assert perfect == pytest.approx(PERFECT[measure], abs=1.5 if measure == "vmaf" else 1e-6)
        sign = HIGHER_IS_BETTER[measure]
        values = sign * np.array([of[measure] for of in found.values()])
        if measure == "vmaf":  # 0 is its least, where average and noise meet
            assert values[0] > values[1] > max(values[2:])
        else:
            assert (np.diff(values) < 0).all(), (measure, values)
        assert sign * shuffled[measure] < values[1]


def test_psnr_of_a_known_error_and_each_tr_for_itself(film):
    other = film.copy()
    other[1] += 10  # the texture stays below 245
    of = FrameQuality().per_tr(film, other)
    np.testing.assert_allclose(of["psnr"], [100, 20 * np.log10(25.5), 100, 100])
    assert of["ssim"][1] < of["ssim"][0] == pytest.approx(1)
    assert of["frame correlation"][1] == pytest.approx(1)
    as_floats = FrameQuality().per_tr(film / 255, other / 255)
    np.testing.assert_allclose(as_floats["ssim"], of["ssim"])


def test_pictures_that_cannot_be_compared_are_named(film):
    with pytest.raises(SettingsError, match=r"shape \(4, 4, 36, 64, 3\), the reconstruction \(3,"):
        FrameQuality().compare(film, film[:3])
    broken = film / 255
    broken[0, 0, 0, 0, 0] = np.nan
    with pytest.raises(SettingsError, match="1 values of the pictures are not finite"):
        FrameQuality().compare(film, broken)


def test_lpips_is_that_of_another_implementation(monkeypatch):
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    network = judge_at_hand("lpips").network

    def trunk(*_, **__):
        layers = []
        for number, convolution in enumerate(network.convolutions):
            if number in (1, 2):
                layers.append(torch.nn.MaxPool2d(3, 2))
            layers += [convolution, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers)

    monkeypatch.setattr(lpips, "_get_tv_model_features", trunk)
    # Its heads are its own, of the authors' file.
    oracle = lpips._LPIPS(pretrained=True, net="alex")
    one, other = torch.rand(2, 3, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    theirs = oracle(one, other, normalize=True).flatten()
    torch.testing.assert_close(network(one, other), theirs, rtol=1e-4, atol=1e-6)


def test_weights_that_are_absent_or_something_else_are_named(tmp_path):
    with pytest.raises(JudgeMissing, match=r"there is no file .*nothing\.ckpt"):
        Lpips(weights=tmp_path / "nothing.ckpt").check()
    other = tmp_path / "other.ckpt"
    other.write_bytes(b"cbuiltins\nprint\n(S'caught'\ntR.")
    with pytest.raises(SettingsError, match=r"it names builtins\.print"):
        lpips_from(other)


def test_lpips_can_be_learned_by():
    network = LpipsNetwork()
    for head in network.heads:
        torch.nn.init.ones_(head)
    one = torch.rand(1, 3, 36, 64).requires_grad_()
    network(one, one.detach()).sum().backward()
    assert one.grad.isfinite().all()
