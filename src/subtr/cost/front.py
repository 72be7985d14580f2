"""What collapsing the parallel kernels of the multi-scale encoder into one saves."""

import pandas as pd
import torch

from subtr.cost.measuring import Timing, check_steps, count_parameters, forward_flops, median_ms
from subtr.encoders.convolutional import MultiscaleConvolution

FRONT = "multiscale front"
_KERNEL_FRAMES = (1, 3, 5, 7, 11)


def front_table(
    in_dim: int,
    out_dim: int,
    frames_per_tr: int,
    tr_s: float,
    timing: Timing = Timing(),  # noqa: B008
) -> pd.DataFrame:
    """The parallel kernels of the multi-scale encoder, as trained and collapsed into one kernel.

    Columns as of `cost_table`, as far as they apply at inference, and ``speed_ratio``: how many
    times faster than as trained a pass of the batch is.

    Arguments
        in_dim, out_dim: see `MultiscaleConvolution`; its kernels are the report's.
        the others: see `stream_cost`.

    Raises
        SettingsError: as `stream_cost`.
    """
    check_steps(frames_per_tr, tr_s, timing)
    batch, repeats, device = timing
    with torch.random.fork_rng(devices=[]):
        trained = MultiscaleConvolution(in_dim, out_dim, _KERNEL_FRAMES).to(device).eval()
        frames = torch.rand(batch, in_dim, frames_per_tr).to(device)
        collapsed = trained.collapsed()
    fronts = {FRONT: trained, f"{FRONT}, collapsed": collapsed}
    with torch.no_grad():
        calls = [lambda front=front: front(frames) for front in fronts.values()]
        times_ms = median_ms(calls, repeats, device)
    rows = [
        {
            "system": name,
            "batch": batch,
            "parameters": count_parameters(front),
            "flops": forward_flops(front, frames[:1]),
            "receptive_field_ms": f"{1000 * max(_KERNEL_FRAMES) * tr_s / frames_per_tr:.4g}",
            "forward_ms": forward_ms,
            "speed_ratio": times_ms[0] / forward_ms,
            "problem": "",
        }
        for (name, front), forward_ms in zip(fronts.items(), times_ms, strict=True)
    ]
    return pd.DataFrame(rows)
