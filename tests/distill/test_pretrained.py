"""torchvision's pretrained weights, downloaded from a real server on this machine or from a file."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import GoogLeNet_Weights, ShuffleNet_V2_X0_5_Weights, get_model, get_model_weights

from tests.distill.data_files import left_in, move_cache
from tests.distill.digits import digits
from tests.distill.test_downloads import Answer, Server, address, refusing, serving
from tests.experiments import engine, launch, rows, tiny
from workbench import zoo
from workbench.config import ElsewhereConfig, ModelConfig
from workbench.distill.elsewhere import Elsewhere
from workbench.distill.models import build_on_meta
from workbench.distill.pretrained import as_built, pretrained
from workbench.errors import Cancelled, CheckpointError, ConfigError, DataError
from workbench.exchange.bringing import Wanted
from workbench.exchange.importing import enter, look, measured
from workbench.history.writing import History

NAME = "shufflenet_v2_x0_5"
SMALL = {"size": 32, "resize": 32}
"""Smaller images than it was trained on, to be quick."""
NUMBERS = {str(number): str(100 * number + 7) for number in range(10)}
"""Outputs for the digits, which ImageNet has no names for."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, moved to where the test may write."""
    return move_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as torchvision has them, of a network that has learned nothing."""
    path = tmp_path_factory.mktemp("weights") / "shufflenet.pth"
    torch.manual_seed(0)
    torch.save(get_model(NAME).state_dict(), path)
    return path.read_bytes()


@pytest.fixture
def offered(content: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that has the file; torchvision knows it by its real hash."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    name = f"shufflenet-{hashlib.sha256(content).hexdigest()[:10]}.pth"
    with serving(Answer) as server:
        server.files = {name: content}
        monkeypatch.setattr(ShuffleNet_V2_X0_5_Weights.DEFAULT.value, "url", f"{address(server)}{name}")
        yield server


def wanted(**more: Any) -> Wanted:
    return Wanted(**{"torchvision": NAME, "settings": SMALL, "mapping": NUMBERS} | more)


class TestDownload:
    def test_that_weights_are_fetched_once_checked_and_teach(self, offered: Server, cache: Path, tmp_path: Path) -> None:
        heard: list[tuple[str, int, int, str]] = []
        found = look(engine(), wanted(), lambda *news: heard.append(news))
        (name,) = offered.files
        size = len(offered.files[name])
        assert (f"Downloading {name}", size, size, "bytes") in heard
        assert [path.name for path in left_in(cache)] == ["weights", name]
        assert found.title == f"{NAME} IMAGENET1K_V1"
        assert len(found.names) == 1000
        assert found.chosen[1] == found.names[107] == "jellyfish"
        assert 0 <= found.figures["val_accuracy"] < 0.5
        offered.files.clear()
        with History(tmp_path / "experiments.db") as history:
            run = enter(history, measured(engine(), wanted()))
            (row,) = rows(history)
            assert (row.model, row.figures["val_errors"]) == (NAME, found.figures["val_errors"])
            assert launch(history, tiny(teachers=[{"run": run}]))[0] == "done"

    def test_that_what_a_killed_download_left_goes_and_one_under_way_stays(self, offered: Server, cache: Path) -> None:
        (name,) = offered.files
        killed, under_way = (cache / "weights" / f".{name}-{end}" for end in ("killed", "busy"))
        for folder in (killed, under_way):
            folder.mkdir(parents=True)
            (folder / name).write_bytes(b"a part")
        long_ago = time.time() - 7200
        for path in (killed / name, killed, under_way):
            os.utime(path, (long_ago, long_ago))
        look(engine(), wanted())
        assert not killed.exists()
        assert (under_way / name).read_bytes() == b"a part"

    def test_that_a_wrong_hash_leaves_nothing_and_says_what_to_do(self, offered: Server, cache: Path) -> None:
        (name,) = offered.files
        offered.files[name] = b"something else"
        expected = rf"could not be downloaded \(http://.*{name}: what arrived is damaged or another file, by its SHA256\): "
        with pytest.raises(DataError, match=rf"{expected}try again later, or get {name} in another way and name that file"):
            look(engine(), wanted())
        assert left_in(cache) == [cache / "weights"]

    def test_that_a_download_cut_short_says_so(self, offered: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Answer, "short", 1000)
        with pytest.raises(DataError, match=r"could not be downloaded \(.*(bytes|IncompleteRead).*\): try again later"):
            look(engine(), wanted())
        assert left_in(cache) == [cache / "weights"]

    def test_that_without_a_network_a_sentence_says_so(
        self, offered: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (name,) = offered.files
        monkeypatch.setattr(ShuffleNet_V2_X0_5_Weights.DEFAULT.value, "url", f"{refusing()}{name}")
        with pytest.raises(DataError, match=r"could not be downloaded \(.*[Rr]efused\): try again later"):
            look(engine(), wanted())
        assert left_in(cache) == [cache / "weights"]

    @pytest.mark.parametrize("after", [0, 5])
    def test_that_a_cancel_leaves_nothing(self, offered: Server, cache: Path, after: int) -> None:
        asked: list[None] = []

        def cancelled() -> bool:
            asked.append(None)
            return len(asked) > after

        with pytest.raises(Cancelled, match=r"Downloading shufflenet-.* was cancelled"):
            look(engine(), wanted(), cancelled=cancelled)
        assert left_in(cache) == [cache / "weights"]

    def test_that_a_cached_file_that_was_damaged_is_not_used(self, offered: Server, cache: Path) -> None:
        look(engine(), wanted())
        path = cache / "weights" / next(iter(offered.files))
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(CheckpointError, match=r"or is damaged or cut short, for .*; remove it, and it is downloaded anew"):
            look(engine(), wanted())


class TestFile:
    def test_that_a_file_that_is_there_needs_no_network(self, offered: Server, cache: Path, tmp_path: Path) -> None:
        path = tmp_path / "mine.pth"
        path.write_bytes(offered.files.popitem()[1])
        assert look(engine(), wanted(file=path)).figures
        assert left_in(cache) == []

    def test_that_another_file_is_refused(self, offered: Server, tmp_path: Path) -> None:
        path = tmp_path / "mine.pth"
        path.write_bytes(b"no weights")
        with pytest.raises(CheckpointError, match=r"mine.pth is not torchvision's shufflenet-.*; name the whole file"):
            look(engine(), wanted(file=path))

    def test_that_a_file_of_its_own_names_needs_no_mapping_of_other_classes(self, tmp_path: Path, content: bytes) -> None:
        """A fine-tuned network with as many outputs as the data has classes is a model as they are trained here."""
        path = tmp_path / "tuned.safetensors"
        from safetensors.torch import save_file

        save_file(zoo.build("torchvision", {"architecture": NAME, "resize": 32}, (1, 8, 8), 10).state_dict(), path)
        model = ModelConfig(model="torchvision", options={"architecture": NAME, "resize": 32})
        assert not look(engine(), Wanted(file=path, model=model)).settings


def test_that_images_come_to_it_as_torchvision_brings_them() -> None:
    known = ShuffleNet_V2_X0_5_Weights.DEFAULT
    data = digits()
    net = Elsewhere(torch.nn.Identity(), ElsewhereConfig(**pretrained(NAME, "DEFAULT").settings), data.mean, data.deviation)
    images = data.test.images[:4]
    theirs = known.transforms()(images.expand(-1, 3, -1, -1))
    ours = net.seen(data.view(images))
    assert ours.shape == theirs.shape == (4, 3, 224, 224)
    assert (ours - theirs).abs().max() < 1.5 / 255 / 0.224  # one of 255, by which rounding may differ


def test_that_every_architecture_has_weights_whose_pixels_are_known() -> None:
    for architecture in zoo.TORCHVISION_CLASSIFIERS:
        for weights in get_model_weights(architecture):
            if weights.name == "IMAGENET1K_FEATURES":  # those have no classes
                continue
            found = pretrained(architecture, weights.name)
            assert len(found.classes) == 1000
            ElsewhereConfig(**found.settings)


@pytest.mark.parametrize("architecture", ["densenet121", "googlenet", "inception_v3", "vit_b_16"])
def test_that_torchvisions_tensors_fit_the_network_as_it_is_built(architecture: str) -> None:
    about = pretrained(architecture, "DEFAULT").settings
    model = ModelConfig(model="torchvision", options={"architecture": architecture})
    ours = build_on_meta(model, (3, about["size"], about["size"]), 1000).state_dict()
    with torch.device("meta"):
        extra = {"init_weights": False} if architecture in ("googlenet", "inception_v3") else {}
        theirs = get_model(architecture, **extra).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", name): tensor for name, tensor in theirs.items()}
    assert {name: tensor.shape for name, tensor in as_built(old).items()} == {name: one.shape for name, one in ours.items()}


def test_that_googlenets_own_change_of_pixels_is_made_here() -> None:
    """It brings ImageNet's standardised pixels to -1..1 itself where it is built with weights."""
    theirs = get_model("googlenet", weights=None, transform_input=True, init_weights=False, aux_logits=False)
    data = digits()
    images = data.test.images[:2].expand(-1, 3, -1, -1)
    settings = pretrained("googlenet", "DEFAULT").settings
    ours = Elsewhere(torch.nn.Identity(), ElsewhereConfig(**settings), data.mean, data.deviation)
    expected = theirs._transform_input(GoogLeNet_Weights.DEFAULT.transforms()(images))
    assert (ours.seen(data.view(data.test.images[:2])) - expected).abs().max() < 1.5 / 127.5


def test_that_unknown_names_are_answered_with_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"there is no architecture 'resnet81' \(did you mean 'resnet18'\?\)"):
        look(engine(), Wanted(torchvision="resnet81"))
    with pytest.raises(ConfigError, match=r"resnet18 has no weights 'V9'; it has IMAGENET1K_V1"):
        look(engine(), Wanted(torchvision="resnet18", weights="V9"))
