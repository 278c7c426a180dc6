"""Downloads from a real server on this machine, and CIFAR's pickles."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.distill.data_files import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    idx_files,
    left_in,
    load,
    move_cache,
)
from workbench.config import DataConfig
from workbench.distill import sources
from workbench.errors import Cancelled, DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, moved to where the test may write."""
    return move_cache(tmp_path, monkeypatch)


class Server(http.server.ThreadingHTTPServer):
    """Gives ``files`` by name; every byte counts towards what was ``sent``."""

    daemon_threads = False
    files: dict[str, bytes]


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server
    short = 0
    """So many bytes of each file are left out."""

    def do_GET(self) -> None:
        content = self.server.files.get(self.path.rsplit("/", 1)[-1])
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content[: len(content) - self.short])
        except OSError:
            self.close_connection = True  # the client has cancelled

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(answer: type[http.server.BaseHTTPRequestHandler] = Answer) -> Iterator[Server]:
    """A server on this machine."""
    with Server(("127.0.0.1", 0), answer) as server:
        server.files = {}
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/"


def refusing() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


@pytest.fixture
def offered(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server from which torchvision's MNIST would come."""
    from torchvision.datasets import MNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.files = {name: gzip.compress(content) for name, content in idx_files(train=20_000).items()}
    monkeypatch.setattr(MNIST, "mirrors", [address(server)])
    monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in server.files.items()])
    return server


def fetch(name: str, *folders: Path, **how: object) -> sources.RawData:
    return sources.load(DataConfig(dataset=name), folders, **how)  # type: ignore[arg-type]


class TestDownload:
    def test_that_a_download_is_kept_and_found_again(self, offered: Server, cache: Path) -> None:
        heard: list[tuple[str, int, int, str]] = []
        mnist = fetch("mnist", cache, tell=lambda *news: heard.append(news))
        assert mnist.train.images.shape == (20_000, 1, 6, 5)
        assert sorted(path.name for path in left_in(cache)) == ["mnist", *sorted(offered.files)]
        size = len(offered.files[TRAIN_IMAGES])
        assert (f"Downloading {TRAIN_IMAGES}", size, size, "bytes") in heard
        assert sum(text.endswith(TRAIN_IMAGES) for text, *_ in heard) > size // 65536
        assert load("mnist", cache).digest == mnist.digest

    def test_that_the_next_mirror_is_tried(self, offered: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from torchvision.datasets import MNIST

        monkeypatch.setattr(MNIST, "mirrors", [refusing(), address(offered)])
        assert len(fetch("mnist", cache).test.labels) == 20

    def test_that_a_wrong_md5_leaves_nothing(self, offered: Server, cache: Path) -> None:
        offered.files[TEST_LABELS] = gzip.compress(b"something else")
        with pytest.raises(
            DataError, match=r"could not be downloaded \(http://127.*t10k-labels-idx1-ubyte.gz: .*MD5\): put train-images"
        ):
            fetch("mnist", cache)
        assert left_in(cache) == []

    def test_that_a_missing_file_leaves_nothing(self, offered: Server, cache: Path) -> None:
        del offered.files[TEST_IMAGES]
        with pytest.raises(DataError, match="Not Found"):
            fetch("mnist", cache)
        assert left_in(cache) == []

    @pytest.mark.parametrize("after", [0, 2, 8])
    def test_that_a_cancel_leaves_nothing(self, offered: Server, cache: Path, after: int) -> None:
        chunks: list[int] = []
        with pytest.raises(Cancelled, match=r"Downloading .* was cancelled"):
            fetch("mnist", cache, tell=lambda text, done, total, unit: chunks.append(done), cancelled=lambda: len(chunks) > after)
        assert left_in(cache) == []

    def test_that_a_refused_connection_names_the_folders(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torchvision.datasets import KMNIST

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(KMNIST, "mirrors", [refusing()])
        with pytest.raises(DataError) as caught:
            fetch("kmnist", tmp_path / "A", cache)
        text = str(caught.value)
        assert text.startswith(f"kmnist was not found in {tmp_path / 'A'} or {cache} and could not be downloaded (http://127")
        assert f"put train-images-idx3-ubyte.gz and the other three files into {tmp_path / 'A' / 'kmnist'}" in text
        assert "refused" in text
        assert left_in(cache) == []

    def test_that_a_cache_that_cannot_be_written_is_a_sentence(self, offered: Server, cache: Path) -> None:
        cache.parent.mkdir(parents=True)
        cache.write_text("in the way")
        with pytest.raises(DataError, match="could not be downloaded"):
            fetch("mnist", cache)

    def test_that_only_the_balanced_files_of_emnist_are_kept(
        self, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torchvision.datasets import EMNIST

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in idx_files(47, 94, 47).items():
                for split in ("balanced", "letters"):
                    archive.writestr(f"gzip/emnist-{split}-{name.replace('t10k', 'test')}", gzip.compress(content))
        server.files = {"gzip.zip": packed.getvalue()}
        monkeypatch.setattr(EMNIST, "url", address(server) + "gzip.zip")
        monkeypatch.setattr(EMNIST, "md5", md5(packed.getvalue()))
        assert fetch("emnist-balanced", cache).train.images.shape == (94, 1, 5, 6)
        assert len(left_in(cache)) == 5
        assert load("emnist-balanced", cache).test.images.shape == (47, 1, 5, 6)


def cifar_batches() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    batches = {
        name: {"data": random.integers(0, 256, (10, 3072), dtype=np.uint8), "labels": list(range(10))}
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    }
    return {
        name: pickle.dumps(content) for name, content in (batches | {"batches.meta": {"label_names": list("abcdefghij")}}).items()
    }


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small batches that torchvision takes for CIFAR-10's own."""
    from torchvision.datasets import CIFAR10

    batches = cifar_batches()
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(batches[name])] for name in batches if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(batches["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(batches["batches.meta"])})
    return batches


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


class TestCifar:
    def test_that_a_download_is_unpacked_and_read(
        self, server: Server, cache: Path, cifar: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torchvision.datasets import CIFAR10

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in {**cifar, "../../escaped": b"x"}.items():
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        server.files = {"cifar.tar.gz": packed.getvalue()}
        monkeypatch.setattr(CIFAR10, "url", address(server) + "cifar.tar.gz")
        monkeypatch.setattr(CIFAR10, "tgz_md5", md5(packed.getvalue()))
        data = fetch("cifar10", cache)
        assert data.train.images.shape == (50, 3, 32, 32)
        assert data.test.images.shape == (10, 3, 32, 32)
        assert data.classes[0] == "airplane"
        first = pickle.loads(cifar["data_batch_1"])["data"][0]
        assert (data.train.images[0].ravel() == first).all()
        assert sorted(path.name for path in left_in(cache)) == sorted(["cifar-10-batches-py", *cifar])
        assert load("cifar10", cache / "cifar-10-batches-py").digest == data.digest
        assert load("cifar10", cache, channels=1, image_size=8).train.images.shape == (50, 1, 8, 8)

    @pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
    def test_that_a_strange_batch_is_never_unpickled(self, tmp_path: Path, cifar: dict[str, bytes], name: str) -> None:
        folder = tmp_path / "cifar-10-batches-py"
        folder.mkdir()
        for batch, content in cifar.items():
            (folder / batch).write_bytes(content)
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
        with pytest.raises(DataError, match="cifar-10-batches-py is damaged or not the published CIFAR-10"):
            load("cifar10", tmp_path)
        assert not (tmp_path / "sprung").exists()
