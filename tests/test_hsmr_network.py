"""Network and checkpoint reader with small seeded weights: shapes, strictness, precision, and files not to be trusted."""

from __future__ import annotations

import os
import pickle
import sys
import types
import typing
import zipfile
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.errors import FormatError, InputError, MissingAssetError  # noqa: E402
from hsmr_bio.hsmr import checkpoint as reader  # noqa: E402
from hsmr_bio.hsmr.checkpoint import load_hsmr, read_weights  # noqa: E402
from hsmr_bio.hsmr.config import BackboneConfig, HeadConfig, HsmrConfig  # noqa: E402
from hsmr_bio.hsmr.network import Hsmr  # noqa: E402
from hsmr_bio.hsmr.pose import MEAN_POSE_RAD  # noqa: E402

SMALL = HsmrConfig(
    backbone=BackboneConfig(width=48, blocks=2, heads=4, drop_path=0.5),
    head=HeadConfig(context_width=48, width=64, layers=2, heads=2, head_width=16, mlp_width=32),
)


@pytest.fixture(scope="module")
def network() -> Hsmr:
    torch.manual_seed(0)
    return Hsmr(SMALL).eval()


@pytest.fixture
def patches():
    return torch.randn(3, 3, 256, 256, generator=torch.Generator().manual_seed(1))


def save(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def official(network: Hsmr) -> dict:
    """The layout of a Lightning file: weights, licensed body buffers, training state."""
    state = dict(network.state_dict())
    state["skel_model.skin_template_v"] = torch.zeros(5, 3)
    state["skel_model.weights"] = torch.eye(3).to_sparse()
    return {"state_dict": state, "epoch": 3, "optimizer_states": [{"lr": 1e-5}], "hyper_parameters": Namespace(lr=1e-5)}


def test_shapes_and_types(network: Hsmr, patches) -> None:
    out = network(patches)
    assert out.poses_rad.shape == (3, 46)
    assert out.betas.shape == (3, 10)
    assert out.camera.shape == out.translation_m.shape == (3, 3)
    assert out.pose_numbers.shape == (3, 24, 6)
    assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in out)


def test_a_batch_gives_what_its_images_give_alone(network: Hsmr, patches) -> None:
    together = network(patches)
    for i in range(len(patches)):
        torch.testing.assert_close(network(patches[i : i + 1]).poses_rad[0], together.poses_rad[i], atol=1e-4, rtol=0)


def test_the_backbone_does_not_see_the_outer_columns(network: Hsmr, patches) -> None:
    changed = patches.clone()
    changed[..., :32] = 9
    changed[..., 224:] = -9
    torch.testing.assert_close(network(changed).poses_rad, network(patches).poses_rad)


def test_a_silent_head_gives_the_mean_person(patches) -> None:
    network = Hsmr(SMALL).eval()
    for layer in (network.head.poses_decoder, network.head.betas_decoder, network.head.cam_decoder):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    out = network(patches[:1])
    torch.testing.assert_close(out.poses_rad[0].abs(), torch.tensor(MEAN_POSE_RAD).abs(), atol=1e-4, rtol=0)
    assert out.translation_m[0, 2].item() == pytest.approx(2 * 5000 / (256 * 0.9), rel=1e-5)


def test_the_euler_head_gives_angles_themselves(patches) -> None:
    head = HeadConfig(context_width=48, width=64, layers=1, heads=2, head_width=16, mlp_width=32, pose_mode="euler")
    out = Hsmr(HsmrConfig(backbone=SMALL.backbone, head=head)).eval()(patches)
    assert out.poses_rad.shape == (3, 46)
    torch.testing.assert_close(out.poses_rad, out.pose_numbers)


def test_the_backbone_equals_torchs_own_transformer(network: Hsmr, patches) -> None:
    """The same weights in nn.TransformerEncoder give the same features."""
    ours = network.backbone
    layer = torch.nn.TransformerEncoderLayer(
        48, 4, 4 * 48, dropout=0, activation="gelu", batch_first=True, norm_first=True, layer_norm_eps=1e-6
    )
    encoder = torch.nn.TransformerEncoder(layer, 2, norm=torch.nn.LayerNorm(48, eps=1e-6), enable_nested_tensor=False).eval()
    state = {}
    for i, block in enumerate(ours.blocks):
        state |= {
            f"layers.{i}.self_attn.in_proj_weight": block.attn.qkv.weight,
            f"layers.{i}.self_attn.in_proj_bias": block.attn.qkv.bias,
            f"layers.{i}.self_attn.out_proj.weight": block.attn.proj.weight,
            f"layers.{i}.self_attn.out_proj.bias": block.attn.proj.bias,
        }
        pairs = {"linear1": block.mlp.fc1, "linear2": block.mlp.fc2, "norm1": block.norm1, "norm2": block.norm2}
        for name, module in pairs.items():
            state |= {f"layers.{i}.{name}.weight": module.weight, f"layers.{i}.{name}.bias": module.bias}
    state |= {"norm.weight": ours.last_norm.weight, "norm.bias": ours.last_norm.bias}
    encoder.load_state_dict(state)
    strip = patches[..., 32:224]
    tokens = ours.patch_embed(strip) + ours.pos_embed[:, 1:] + ours.pos_embed[:, :1]
    expected = encoder(tokens).transpose(1, 2).reshape(3, 48, 16, 12)
    torch.testing.assert_close(ours(strip), expected, atol=1e-5, rtol=0)


def test_stochastic_depth_acts_only_in_training(patches) -> None:
    torch.manual_seed(0)
    network = Hsmr(SMALL)
    assert network.train() is network
    first, second = (network(patches).betas for _ in range(2))
    assert not torch.equal(first, second)
    network.eval()
    torch.testing.assert_close(network(patches).betas, network(patches).betas)


def test_gradients_reach_every_weight_that_acts(patches) -> None:
    torch.manual_seed(0)
    network = Hsmr(SMALL).train()
    for block in network.backbone.blocks:
        block.drop_path = 0.0
    out = network(patches)
    (out.poses_rad.sum() + out.betas.sum() + out.camera.sum()).backward()
    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.abs().sum() > 0]
    assert silent == ["head.transformer.to_token_embedding.weight"], "the query token's input is zero"


@pytest.mark.parametrize("layout", ["lightning", "plain", "safetensors", "old"])
def test_every_layout_loads_to_the_same_network(layout: str, network: Hsmr, patches, tmp_path: Path) -> None:
    path = tmp_path / "hsmr.ckpt"
    if layout == "lightning":
        save(path, official(network))
    elif layout == "plain":
        save(path, network.state_dict())
    elif layout == "old":
        torch.save(official(network), path, _use_new_zipfile_serialization=False)
    else:
        path = tmp_path / "hsmr.safetensors"
        pytest.importorskip("safetensors.torch").save_file(network.state_dict(), path)
    loaded = load_hsmr(path, config=SMALL)
    assert not loaded.training
    torch.testing.assert_close(loaded(patches).poses_rad, network(patches).poses_rad)


def test_bfloat16_stays_close(network: Hsmr, patches, tmp_path: Path) -> None:
    path = save(tmp_path / "hsmr.ckpt", official(network))
    half = load_hsmr(path, config=SMALL, dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half.head.poses_decoder.weight.dtype == torch.float32
    torch.testing.assert_close(half(patches).betas, network(patches).betas, atol=0.05, rtol=0)


def test_sizes_are_read_from_the_file(tmp_path: Path) -> None:
    config = HsmrConfig(
        backbone=BackboneConfig(width=768, blocks=1, heads=12),
        head=HeadConfig(context_width=768, width=64, layers=2, heads=8, head_width=4, mlp_width=16),
    )
    path = save(tmp_path / "hsmr.ckpt", Hsmr(config).state_dict())
    loaded = load_hsmr(path)
    assert loaded.config.backbone.blocks == 1
    assert loaded.config.head == config.head


def test_missing_extra_and_misshapen_weights_are_named(network: Hsmr, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    del state["backbone.last_norm.bias"]
    state["head.surprise"] = torch.zeros(1)
    state["head.cam_decoder.bias"] = torch.zeros(4)
    path = save(tmp_path / "hsmr.ckpt", state)
    with pytest.raises(FormatError) as caught:
        load_hsmr(path, config=SMALL)
    message = str(caught.value)
    assert "backbone.last_norm.bias is missing" in message
    assert "head.surprise is not part" in message
    assert "head.cam_decoder.bias has shape (4,), expected (3,)" in message


def test_weights_that_are_not_finite_are_refused(network: Hsmr, tmp_path: Path) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    state["head.poses_decoder.bias"][3] = float("nan")
    with pytest.raises(FormatError, match=r"head\.poses_decoder\.bias.*not finite"):
        load_hsmr(save(tmp_path / "hsmr.ckpt", state), config=SMALL)


def test_training_state_of_the_release_does_not_matter(network: Hsmr, patches, tmp_path: Path) -> None:
    """Its own classes (installed as ``lib``) and types in the saved configuration stay names without effect."""
    content = official(network)
    content["hyper_parameters"] = {
        "cls": str,
        "seen": {1, 2},
        "groups": defaultdict(list),
        "maybe": typing.Optional,
        "own": _OfTheRelease(),
    }
    path = tmp_path / "hsmr.ckpt"
    _OfTheRelease.__module__, _OfTheRelease.__qualname__ = "lib.modeling", "Recipe"
    module = types.ModuleType("lib.modeling")
    module.Recipe = _OfTheRelease  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, {"lib": types.ModuleType("lib"), "lib.modeling": module}):
        torch.save(content, path)
    torch.testing.assert_close(load_hsmr(path, config=SMALL)(patches).betas, network(patches).betas)


class _OfTheRelease:
    pass


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_nothing_runs(zipped: bool, network: Hsmr, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    content = official(network)
    content["callbacks"] = _Bomb(target)
    path = tmp_path / "hsmr.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FormatError, match="mkdir"):
        load_hsmr(path, config=SMALL)
    assert not target.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_one_clear_error(share: float, network: Hsmr, tmp_path: Path) -> None:
    path = save(tmp_path / "hsmr.ckpt", official(network))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FormatError, match="truncated") as caught:
        load_hsmr(path, config=SMALL)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", [b"hello", pickle.dumps([1, 2]), pickle.dumps({"a": 1})])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hsmr.ckpt"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        load_hsmr(path)


def test_a_program_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "hsmr.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/constants.pkl", b"")
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(FormatError, match="TorchScript"):
        load_hsmr(path)


def test_a_safetensors_file_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "hsmr.safetensors"
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    with pytest.raises(FormatError, match="safetensors"):
        load_hsmr(path)


def test_weights_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not an HSMR checkpoint"):
        load_hsmr(save(tmp_path / "other.pt", {"encoder.weight": torch.zeros(2)}))
    with pytest.raises(FormatError, match="is missing"):
        load_hsmr(save(tmp_path / "part.pt", {"backbone.pos_embed": torch.zeros(1, 193, 768)}))


def test_without_a_checkpoint_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HSMR_BIO_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(MissingAssetError) as caught:
        load_hsmr()
    for part in ("HSMR-ViTH-r1d1", "--checkpoint FILE", "HSMR_BIO_ASSETS", "hsmr-bio setup"):
        assert part in str(caught.value)


def test_a_registered_checkpoint_is_found(monkeypatch: pytest.MonkeyPatch, network: Hsmr, tmp_path: Path) -> None:
    path = save(tmp_path / reader.CHECKPOINT_NAME, network.state_dict())
    monkeypatch.setenv("HSMR_BIO_ASSETS", str(tmp_path))
    assert reader.find_checkpoint(None) == path


def test_unknown_precision_and_device(network: Hsmr, tmp_path: Path) -> None:
    path = save(tmp_path / "hsmr.ckpt", network.state_dict())
    with pytest.raises(InputError, match="float16"):
        load_hsmr(path, config=SMALL, dtype="float16")
    with pytest.raises(InputError, match="warp"):
        load_hsmr(path, config=SMALL, device="warp")


def test_reading_keeps_only_the_network(network: Hsmr, tmp_path: Path) -> None:
    weights = read_weights(save(tmp_path / "hsmr.ckpt", official(network)))
    assert set(weights) == set(network.state_dict())


def test_setup_checks_and_registers_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hsmr_bio.cli import main

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("HSMR_BIO_ASSETS", raising=False)
    config = HsmrConfig(
        backbone=BackboneConfig(width=768, blocks=1, heads=12),
        head=HeadConfig(context_width=768, width=64, layers=1, heads=8, head_width=4, mlp_width=16),
    )
    given = Hsmr(config)
    path = save(tmp_path / "mine.ckpt", official(given))
    assert main(["setup", str(path)]) == 0
    registered = reader.find_checkpoint(None)
    assert str(registered) in capsys.readouterr().out
    torch.testing.assert_close(load_hsmr().backbone.pos_embed, given.backbone.pos_embed.detach())
    path.write_bytes(b"")
    assert main(["setup", str(path)]) == 1
    assert "truncated" in capsys.readouterr().err
