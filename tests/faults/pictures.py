"""Picture folders with something wrong in them: named in a sentence, or read all the same, in bounded memory."""

from __future__ import annotations

import io
import os
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from tests.faults.outcome import Outcome
from workbench.cli import cli
from workbench.config import DataConfig
from workbench.distill import sources
from workbench.errors import DataError

MEGABYTES = 600
"""How much more memory than before a folder may take at most, whatever a picture in it claims to be."""


def _encoded(mode: str = "RGB", size: tuple[int, int] = (40, 40), form: str = "PNG", **how: object) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(file, form, **how)
    return file.getvalue()


def _claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (40, 40), (shade, 0, 0)) for shade in (0, 90, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _file(name: str | bytes, content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
            file.write(content)

    return make


KINDS: dict[str, tuple[Callable[[Path], None], bool]] = {
    "cut PNG": (_file("bad.png", _encoded()[:-300]), False),
    "cut JPEG": (_file("bad.jpg", _encoded(form="JPEG")[:-200]), False),
    "flipped PNG": (_file("bad.png", _encoded()[:500] + b"\xff" * 50 + _encoded()[550:]), False),
    "empty file": (_file("bad.png", b""), False),
    "text named PNG": (_file("bad.png", b"not a picture"), False),
    "HTML named JPEG": (_file("bad.jpg", b"<html><body>404</body></html>"), False),
    "a pickle named PNG": (_file("bad.png", b"\x80\x04cos\nsystem\n(S'true'\ntR."), False),
    "a bomb of 20,000 × 20,000": (_file("bad.png", _claiming(20_000, 20_000)), False),
    "a bomb of 2³¹ × 1": (_file("bad.png", _claiming(2**31 - 1, 1)), False),
    "PostScript": (_file("bad.png", b"%!PS-Adobe-3.0\nshowpage\n"), False),
    "SVG": (_file("bad.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), False),
    "floating point": (_file("bad.tif", _encoded("F", form="TIFF")), False),
    "a link to itself": (lambda folder: os.symlink("bad.png", folder / "bad.png"), False),
    "a link to nothing": (lambda folder: os.symlink("nowhere.png", folder / "bad.png"), False),
    "a pipe": (lambda folder: os.mkfifo(folder / "bad.png"), False),
    "a name that is no UTF-8, cut": (_file(b"bad\xff\xfe.png", _encoded()[:-300]), False),
    "a name that is no UTF-8": (_file(b"good\xff\xfe.png", _encoded()), True),
    "a folder that is linked into itself": (lambda folder: os.symlink(".", folder / "loop"), True),
    "CMYK": (_file("good.jpg", _encoded("CMYK", form="JPEG")), True),
    "a palette": (_file("good.png", _encoded("P")), True),
    "one bit": (_file("good.png", _encoded("1")), True),
    "with transparency": (_file("good.png", _encoded("RGBA")), True),
    "one pixel": (_file("good.png", _encoded(size=(1, 1))), True),
    "animated": (_file("good.gif", _animated()), True),
    "another file": (_file("notes.txt", b"words"), True),
}
"""What is put among good pictures, and whether the folder is read all the same."""


def pictures(count: int, folder: Path) -> Outcome:
    """Each kind once."""
    outcome = Outcome()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, (kind, (make, good)) in enumerate(list(KINDS.items())[:count]):
        place = folder / str(number)
        for name in ("cat", "dog"):
            (place / name).mkdir(parents=True)
            for index in range(5):
                (place / name / f"{index}.png").write_bytes(_encoded())
        make(place / "cat")
        try:
            sources.load(DataConfig(dataset=str(place)), ())
            if not good:
                outcome.broken.append(f"{kind}: it was read")
        except DataError as error:
            if good or "bad" not in str(error):
                outcome.broken.append(f"{kind}: {error}")
            command = ["run", "digits", "--set", f"data.dataset={place}", "--history", str(place / "experiments.db")]
            said = CliRunner().invoke(cli, command)
            if said.exit_code != 2 or "Traceback" in said.stderr or not said.stderr.startswith("workbench: "):
                outcome.broken.append(f"{kind}: the command line ended with {said.exit_code}: {said.stderr[-200:]}")
        except Exception as error:
            outcome.broken.append(f"{kind}: {type(error).__name__}: {error}")
        outcome.done += 1
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if more > MEGABYTES:
        outcome.broken.append(f"{more} MB more memory")
    outcome.note = f"at most {more} MB more memory"
    return outcome
