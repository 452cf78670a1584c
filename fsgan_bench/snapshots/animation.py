"""Sheets of generated images, a row a generator, and animations of such sheets."""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from fsgan_bench.data.images import Images
from fsgan_bench.errors import UserError, printable
from fsgan_bench.system.files import write_atomic

FORMATS = (".webp", ".gif", ".mp4")

Picture = NDArray[np.uint8]
"""uint8 [H, W, 3]."""

_GAP = 2
_TEXT = 15
_LABEL_CHARACTERS = 24
_QUALITY = 80
_FPS = 30


def sheet(rows: Sequence[Images], labels: Sequence[str], tile: int, head: str = "") -> Picture:
    """Images [n, R, R, 3] of each row beside its label, with ``head`` above.

    Each image is resampled to ``tile`` pixels a side. A single row without a label is broken into a
    sheet about as wide as high.
    """
    if len(rows) == 1 and not labels[0]:
        columns = math.ceil(math.sqrt(len(rows[0])))
        rows = [rows[0][start : start + columns] for start in range(0, len(rows[0]), columns)]
        labels = [""] * len(rows)
    font = _font()
    shown = [printable(label)[:_LABEL_CHARACTERS] for label in labels]
    left = max(math.ceil(font.getlength(label)) for label in shown)
    left += 2 * _TEXT if left else _GAP
    top = 2 * _TEXT if head else _GAP
    columns = max(len(row) for row in rows)
    size = (left + columns * (tile + _GAP), top + len(rows) * (tile + _GAP))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    draw.text((left, _TEXT), head, fill="#222222", font=font, anchor="lm")
    for number, (row, label) in enumerate(zip(rows, shown, strict=True)):
        y = top + number * (tile + _GAP)
        draw.text((left - _TEXT, y + tile / 2), label, fill="#222222", font=font, anchor="rm")
        for column, image in enumerate(row):
            picture = Image.fromarray(image).resize((tile, tile), Image.Resampling.LANCZOS)
            page.paste(picture, (left + column * (tile + _GAP), y))
    return np.asarray(page)


def check_format(out: Path) -> None:
    """Raise UserError unless an animation can be written to a file of this name here."""
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {out}: an animation ends in {', '.join(FORMATS)}.")
    if out.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise UserError(
            f"--out {out}: mp4 needs ffmpeg, which is not on the PATH; .webp and .gif need nothing."
        )
    if out.suffix.lower() == ".webp" and not features.check("webp"):
        raise UserError(f"--out {out}: this Pillow was built without WebP; .gif needs nothing.")


def save_animation(out: Path, frames: Sequence[Picture], milliseconds: Sequence[int]) -> None:
    """Write frames of one size, each shown so long, as a loop; the file appears whole.

    WebP and GIF are written by Pillow, mp4 (H.264) by ffmpeg.
    """
    check_format(out)
    kind = out.suffix.lower()
    if kind == ".mp4":
        write_atomic(out, lambda path: _ffmpeg(path, frames, milliseconds))
        return
    pictures = [Image.fromarray(frame) for frame in frames]
    if kind == ".gif":
        pictures = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    options = {"quality": _QUALITY, "method": 4} if kind == ".webp" else {"optimize": True}

    def write(path: Path) -> None:
        pictures[0].save(
            path,
            save_all=True,
            append_images=pictures[1:],
            duration=list(milliseconds),
            loop=0,
            **options,
        )

    write_atomic(out, write)


def _ffmpeg(path: Path, frames: Sequence[Picture], milliseconds: Sequence[int]) -> None:
    height, width = (side + side % 2 for side in frames[0].shape[:2])
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(_FPS), "-i", "-", "-c:v", "libx264"]
    command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    content = bytearray()
    for frame, shown in zip(frames, milliseconds, strict=True):
        even = np.full((height, width, 3), 255, dtype=np.uint8)
        even[: frame.shape[0], : frame.shape[1]] = frame
        content += even.tobytes() * max(1, round(shown * _FPS / 1000))
    _, said = process.communicate(bytes(content))
    if process.returncode:
        reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise UserError(f"ffmpeg could not write {path.suffix}: {reason[0]}")


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), _TEXT)
