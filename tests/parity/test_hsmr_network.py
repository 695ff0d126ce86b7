"""Our network against the official one: stored outputs for known weights and images."""

from __future__ import annotations

import csv
import json
from math import prod
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.hsmr.camera import full_image_translation  # noqa: E402
from hsmr_bio.hsmr.checkpoint import load_hsmr  # noqa: E402
from hsmr_bio.hsmr.config import BackboneConfig, HeadConfig, HsmrConfig  # noqa: E402
from hsmr_bio.hsmr.network import Hsmr  # noqa: E402
from hsmr_bio.hsmr.pose import poses_to_matrices  # noqa: E402

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURES = SHARED / "fixtures" / "hsmr"
pytestmark = [pytest.mark.assets, pytest.mark.skipif(not FIXTURES.is_dir(), reason="no parity data in ../shared")]


def near(ours, expected, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), atol=atol, rtol=0)


def small_config() -> HsmrConfig:
    about = json.loads((FIXTURES / "net_small_config.json").read_text())
    body, head = about["backbone"], about["head"]
    return HsmrConfig(
        backbone=BackboneConfig(width=body["embed_dim"], blocks=body["depth"], heads=body["num_heads"]),
        head=HeadConfig(
            context_width=head["context_dim"],
            layers=head["depth"],
            heads=head["heads"],
            head_width=head["dim_head"],
            mlp_width=head["mlp_dim"],
        ),
    )


def hash_values(seed: int, row: int, count: int) -> np.ndarray:
    """Uniform values in [-0.5, 0.5) from the rule in the fixtures' README."""
    out = np.empty(count)
    mask = (seed << 48 ^ row << 36) & 0xFFFFFFFFFFFFFFFF
    for start in range(0, count, 1 << 22):
        x = np.arange(start, min(count, start + (1 << 22)), dtype=np.uint64) ^ np.uint64(mask)
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        out[start : start + len(z)] = (z >> np.uint64(40)).astype(np.float64) / 2.0**24 - 0.5
    return out


def hash_state(tsv: Path, seed: int) -> dict:
    """State dict of a full-size network from the documented rule; the means stay at their real values."""
    state = {}
    with tsv.open() as file:
        for row, entry in enumerate(csv.DictReader(file, delimiter="\t")):
            name, shape = entry["name"], tuple(int(n) for n in entry["shape"].split("x"))
            if entry["kind"] == "buffer":
                continue
            u = hash_values(seed, row, prod(shape))
            if "norm" in name and name.endswith("weight"):
                u = 1 + 0.4 * u
            elif name.endswith("bias"):
                u = 0.2 * u
            elif "pos_embed" in name:
                u = 0.8 * u
            else:
                u = u * np.sqrt(12 / prod(shape[1:])) * (0.1 if "_decoder." in name else 1)
            state[name] = torch.from_numpy(u.astype(np.float32).reshape(shape))
    return state


def hash_image(seed: int):
    values = 4 * hash_values(seed, 100000, 3 * 256 * 256)
    return torch.from_numpy(values.astype(np.float32).reshape(1, 3, 256, 256))


@pytest.mark.slow
def test_the_small_network_agrees_with_the_official_one_at_every_station() -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    io = safetensors.load_file(FIXTURES / "net_small_io.safetensors")
    network = load_hsmr(FIXTURES / "net_small_weights.safetensors", config=small_config())
    seen = {}

    def keep(name, *, shift=0.0):
        def hook(module, inputs, output):
            seen[name] = output

        return hook

    network.backbone.patch_embed.register_forward_hook(keep("tok_patch_embed"))
    for i, block in enumerate(network.backbone.blocks):
        block.register_forward_hook(keep(f"tok_block_{i}"))
    network.backbone.register_forward_hook(keep("feats"))
    for i, layer in enumerate(network.head.transformer.transformer.layers):
        layer[2].register_forward_hook(keep(f"head_ff_out_{i}"))
    network.head.transformer.register_forward_hook(keep("head_token"))
    out = network(io["img_patch"])
    for name, value in seen.items():
        near(value, io[name], 1e-4)
    near(out.pose_numbers, io["rep"], 1e-4)
    near(out.betas, io["betas"], 1e-4)
    near(out.camera, io["pred_cam"], 1e-4)
    np.testing.assert_allclose(out.translation_m, io["cam_t"], rtol=1e-4)
    near(torch.sin(out.poses_rad - io["poses"]), 0, 1e-3)
    near(poses_to_matrices(out.poses_rad), io["rotmats"], 1e-4)
    size = torch.tensor([io["img_hw"][1], io["img_hw"][0]], dtype=torch.float32)
    np.testing.assert_allclose(
        full_image_translation(out.translation_m, io["bbx_cs"], size), io["full_cam_t"], rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_the_full_size_vit_b_agrees_with_the_official_one() -> None:
    expected = np.load(FIXTURES / "net_full_vitb_outputs.npz")
    seed = int(expected["seed"])
    state = hash_state(SHARED / "reference" / "hsmr_state_dict_vitb.tsv", seed)
    patch = hash_image(seed)
    near(state["backbone.pos_embed"].flatten()[:8], expected["first_values_pos_embed"], 1e-7)
    near(patch.flatten()[:8], expected["first_values_img_patch"], 1e-6)
    network = Hsmr(HsmrConfig.vit_b())
    result = network.load_state_dict(state, strict=False)
    assert result.unexpected_keys == []
    assert sorted(result.missing_keys) == ["head.init_betas", "head.init_cam", "head.init_poses"]
    seen = {}
    network.eval().backbone.register_forward_hook(lambda module, inputs, output: seen.update(feats=output))
    network.backbone.blocks[0].register_forward_hook(lambda module, inputs, output: seen.update(tok_block_0=output.clone()))
    network.head.transformer.register_forward_hook(lambda module, inputs, output: seen.update(head_token=output))
    with torch.inference_mode():
        out = network(patch)
    near(state["backbone.blocks.0.attn.qkv.weight"].flatten()[:8], expected["first_values_qkv0"], 1e-7)
    near(state["head.poses_decoder.weight"].flatten()[:8], expected["first_values_poses_decoder"], 1e-7)
    near(seen["tok_block_0"][:, :8], expected["tok_block_0_first8"], 1e-4)
    near(seen["head_token"], expected["head_token"], 1e-4)
    near(seen["feats"], expected["feats"], 1e-4)
    near(out.pose_numbers, expected["rep"], 1e-4)
    near(out.betas, expected["betas"], 1e-4)
    near(out.camera, expected["pred_cam"], 1e-4)
    np.testing.assert_allclose(out.translation_m, expected["cam_t"], rtol=1e-4, atol=1e-4)
    near(torch.sin(out.poses_rad - torch.from_numpy(expected["poses"])), 0, 1e-3)


@pytest.mark.parametrize("variant", ["vit_b", "vit_h"])
def test_the_state_dict_has_the_official_names_and_shapes(variant: str) -> None:
    with (SHARED / "reference" / f"hsmr_state_dict_{variant.replace('_', '')}.tsv").open() as file:
        table = {row["name"]: row["shape"] for row in csv.DictReader(file, delimiter="\t")}
    with torch.device("meta"):
        ours = getattr(HsmrConfig, variant)()
        state = Hsmr(ours).state_dict()
    assert {name: "x".join(map(str, value.shape)) for name, value in state.items()} == table
