"""What can be counted: parameters, and the spans of time that layers see. Exact."""

from collections.abc import Callable

import torch
from torch import nn

from subtr.claims.configurations import Setting, encoder, fused_hierarchy, stream
from subtr.cost.measuring import count_parameters
from subtr.encoders.convolutional import (
    MultiscaleConvolution,
    MultiscaleEncoder,
    separable_convolution,
)
from subtr.encoders.positions import POSITIONS

Count = Callable[[Setting], float | int]
SCALES_FRAMES = (1, 3, 5, 7, 11)


def _built(build: Callable[[Setting], nn.Module]) -> Count:
    def count(setting: Setting) -> int:
        # Nothing is computed with it, so no memory need be taken.
        with torch.device("meta"):
            return count_parameters(build(setting))

    return count


def _of(name: str) -> Count:
    return _built(lambda setting: encoder(name, setting))


def _within(name: str, *path: str) -> Count:
    """Parameters of some submodules of an encoder."""

    def some(setting: Setting) -> nn.Module:
        whole = encoder(name, setting)
        return nn.ModuleList(whole.get_submodule(one) for one in path)

    return _built(some)


def _positions(setting: Setting) -> int:
    """What the channels of elapsed time add to the multi-scale module, their own included."""
    position = POSITIONS.build("elapsed")
    with torch.device("meta"):
        wide = MultiscaleEncoder(position.out_dim(setting.n_mels))
        narrow = MultiscaleEncoder(setting.n_mels)
    added = count_parameters(wide) - count_parameters(narrow)
    return added + count_parameters(position)


def _five_branches(dim: int, n_layers: int) -> Count:
    """Layers of five branches and their fusion, of equal features throughout."""
    return _built(
        lambda setting: nn.ModuleList(
            MultiscaleConvolution(dim if layer else setting.n_mels, dim, SCALES_FRAMES)
            for layer in range(n_layers)
        )
    )


def _transformer(setting: Setting) -> nn.Module:
    return stream("transformer", setting)


def _together(*names: str) -> Count:
    parts = {
        "multiscale": lambda setting: stream("multiscale", setting).encoder,
        "hierarchical": fused_hierarchy,
        "s3d": lambda setting: encoder("s3d", setting),
        "transformer": _transformer,
    }
    return _built(lambda setting: nn.ModuleList(parts[name](setting) for name in names))


def _attention_share(name: str) -> Count:
    """Parameters of one part of the transformer's first block, norms left out."""
    return _within("transformer", f"blocks.0.{name}")


PARAMETERS: dict[str, Count] = {
    "multiscale_parameters": _of("multiscale"),
    "multiscale_branch_parameters": _within("multiscale", "scales.branches"),
    "multiscale_fusion_parameters": _within("multiscale", "scales.fusion"),
    "multiscale_block_parameters": _within("multiscale", "blocks"),
    "five_branches_128_parameters": _five_branches(128, 3),
    "five_branches_256_parameters": _five_branches(256, 5),
    "position_parameters": _positions,
    "position_own_parameters": lambda setting: count_parameters(POSITIONS.build("elapsed")),
    "hierarchical_parameters": _built(fused_hierarchy),
    "hierarchical_fine_parameters": _within("hierarchical", "convolutions.0"),
    "hierarchical_mid_pooling_parameters": _within("hierarchical", "poolings.0"),
    "hierarchical_mid_parameters": _within("hierarchical", "convolutions.1"),
    "hierarchical_coarse_pooling_parameters": _within("hierarchical", "poolings.1"),
    "hierarchical_coarse_parameters": _within("hierarchical", "convolutions.2"),
    "hierarchical_fusion_parameters": _built(lambda setting: fused_hierarchy(setting)[1]),
    "s3d_parameters": _of("s3d"),
    **{
        f"s3d_block_{block + 1}_parameters": _within(
            "s3d", *(f"blocks.{6 * block + layer}" for layer in range(6))
        )
        for block in range(4)
    },
    "s3d_map_parameters": _within("s3d", "vector"),
    "s3d_published_parameters": _of("s3d, published"),
    "i3d_published_parameters": _of("i3d, published"),
    "transformer_parameters": _built(_transformer),
    "transformer_encoder_parameters": _of("transformer"),
    "transformer_medium_parameters": _of("transformer, medium"),
    "transformer_input_parameters": _within("transformer", "input"),
    "transformer_attention_parameters": _attention_share("attention"),
    "transformer_feedforward_parameters": _attention_share("feedforward"),
    "transformer_block_parameters": _within("transformer", "blocks.0"),
    "transformer_blocks_parameters": _within("transformer", "blocks"),
    "transformer_aggregation_parameters": _built(lambda setting: _transformer(setting).aggregator),
    "tier1_parameters": _together("multiscale", "hierarchical"),
    "everything_parameters": _together("multiscale", "hierarchical", "s3d", "transformer"),
}


def weights(module: nn.Module) -> int:
    """Without biases, as the report counts."""
    return sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


def _separable_factor(dim: int, out_dim: int, n_taps: int) -> Count:
    """How many times fewer weights a depthwise and a pointwise convolution have."""

    def factor(setting: Setting) -> float:
        with torch.device("meta"):
            plain = nn.Conv1d(dim, out_dim, n_taps)
            return weights(plain) / weights(separable_convolution(dim, out_dim, n_taps))

    return factor


def _separable_module_factor(setting: Setting) -> float:
    return _of("multiscale")(setting) / _of("multiscale, separable")(setting)


SEPARABLE: dict[str, Count] = {
    # The report's 3 x 3 pixels are 9 taps.
    "plain_9_taps_parameters": lambda setting: weights(nn.Conv1d(256, 512, 9)),
    "separable_9_taps_parameters": lambda setting: weights(separable_convolution(256, 512, 9)),
    "separable_9_taps_factor": _separable_factor(256, 512, 9),
    "separable_3_taps_factor": _separable_factor(256, 512, 3),
    "separable_multiscale_factor": _separable_module_factor,
}


def _span_ms(kernel_frames: int) -> Count:
    def span(setting: Setting) -> float:
        kernel = MultiscaleEncoder(1, hidden_dim=1, kernel_frames=(kernel_frames,), depth=0)
        return 1000 * kernel.receptive_field_s(setting.frames_per_tr / setting.tr_s)[0]

    return span


def _receptive_ms(name: str, level: int = -1) -> Count:
    def seen(setting: Setting) -> float:
        with torch.device("meta"):
            fields_s = encoder(name, setting).receptive_field_s(
                setting.frames_per_tr / setting.tr_s
            )
        return 1000 * fields_s[level]

    return seen


def _step_ms(level: int) -> Count:
    """From one latent of a level of the hierarchy to the next."""

    def step(setting: Setting) -> float:
        with torch.device("meta"):
            rates_hz = encoder("hierarchical", setting).frame_hz(
                setting.frames_per_tr / setting.tr_s
            )
        return 1000 / rates_hz[level]

    return step


SPANS: dict[str, Count] = {
    **{f"kernel_{kernel}_span_ms": _span_ms(kernel) for kernel in SCALES_FRAMES[1:]},
    "multiscale_receptive_field_ms": _receptive_ms("multiscale"),
    "hierarchical_fine_step_ms": _step_ms(0),
    "hierarchical_mid_step_ms": _step_ms(1),
    "hierarchical_coarse_step_ms": _step_ms(2),
    "hierarchical_mid_receptive_field_ms": _receptive_ms("hierarchical", 1),
}
