"""HSMR's network on the CPU against a plain transformer of torch's own modules at the same sizes, side by side.

Prints processor time per image (all threads together) and the peak memory of the process. ``--variants`` adds what else was
tried: bfloat16, attention written out instead of torch's fused kernel, torch's own modules without their fast path.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hsmr_bio.hsmr import backbone
from hsmr_bio.hsmr.config import HsmrConfig
from hsmr_bio.hsmr.network import Hsmr
from hsmr_bio.hsmr.pose import rep_to_poses


class Reference(nn.Module):
    """The same sizes from nn.TransformerEncoder and nn.TransformerDecoder."""

    def __init__(self, config: HsmrConfig) -> None:
        super().__init__()
        b, h = config.backbone, config.head
        self.embed = nn.Conv2d(3, b.width, b.patch_px, stride=b.patch_px, padding=b.padding_px)
        self.position = nn.Parameter(torch.zeros(1, 192, b.width))
        encoder = nn.TransformerEncoderLayer(
            b.width, b.heads, 4 * b.width, dropout=0, activation="gelu", batch_first=True, norm_first=True, layer_norm_eps=1e-6
        )
        self.encoder = nn.TransformerEncoder(
            encoder, b.blocks, norm=nn.LayerNorm(b.width, eps=1e-6), enable_nested_tensor=False
        )
        self.context = nn.Linear(b.width, h.width)
        decoder = nn.TransformerDecoderLayer(
            h.width, h.heads, h.mlp_width, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(decoder, h.layers)
        self.token = nn.Parameter(torch.zeros(1, 1, h.width))
        self.out = nn.Linear(h.width, 144 + 10 + 3)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches to pose numbers, betas, camera."""
        tokens = self.embed(patches[..., 32:224]).flatten(2).transpose(1, 2) + self.position
        context = self.context(self.encoder(tokens))
        numbers = self.out(self.decoder(self.token.expand(len(patches), -1, -1), context)[:, 0])
        return torch.cat([rep_to_poses(numbers[:, :144].unflatten(1, (24, 6))), numbers[:, 144:]], dim=1)


def written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention without the fused kernel."""
    weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
    return weights @ value


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Least processor time of some runs."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        run()
        best = min(best, time.process_time() - begin)
    return best


def side_by_side(variant: str, batch: int, repeats: int, extra: bool) -> None:
    """Measure one size; ours and the reference in turns."""
    config = getattr(HsmrConfig, variant)()
    torch.manual_seed(0)
    ours, reference = Hsmr(config).eval(), Reference(config).eval()
    patches = torch.randn(batch, 3, 256, 256)
    with torch.inference_mode():
        ours(patches[:1]), reference(patches[:1])
        times: dict[str, float] = {"ours": float("inf"), "torch's modules": float("inf")}
        for _ in range(repeats):
            times["ours"] = min(times["ours"], seconds(lambda: ours(patches), 1))
            times["torch's modules"] = min(times["torch's modules"], seconds(lambda: reference(patches), 1))
        if extra:
            torch.backends.mha.set_fastpath_enabled(False)
            times["torch's modules, no fast path"] = seconds(lambda: reference(patches), 1)
            torch.backends.mha.set_fastpath_enabled(True)
            del reference
            gc.collect()
            fused = backbone.functional.scaled_dot_product_attention
            backbone.functional.scaled_dot_product_attention = written_out
            times["ours, attention written out"] = seconds(lambda: ours(patches), 1)
            backbone.functional.scaled_dot_product_attention = fused
            ours.set_precision(torch.bfloat16)
            ours(patches[:1])
            times["ours, bfloat16"] = seconds(lambda: ours(patches), repeats)
    base = times["torch's modules"]
    for name, value in times.items():
        print(f"{variant} batch {batch}: {name:30} {value / batch:8.3f} s/image   {value / base:5.2f} of torch's modules")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="vit_b", choices=("vit_b", "vit_h"))
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variants", action="store_true", help="also what else was tried")
    parser.add_argument("--alone", action="store_true", help="only our network, to see its peak memory")
    args = parser.parse_args()
    if args.alone:
        network = Hsmr(getattr(HsmrConfig, args.variant)()).eval()
        with torch.inference_mode():
            network(torch.randn(max(args.batch), 3, 256, 256))
    else:
        for batch in args.batch:
            side_by_side(args.variant, batch, args.repeats, args.variants)
            gc.collect()
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
