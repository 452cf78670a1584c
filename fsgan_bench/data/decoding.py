"""An encoded image as pixels, or why it cannot be used."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from fsgan_bench.data.entries import Unusable
from fsgan_bench.data.images import to_square
from fsgan_bench.data.signatures import FORMATS, HEAD, kind_of, what_else
from fsgan_bench.errors import UserError

MIN_SIDE = 8
"""Shorter side, in px, below which a file is taken for an icon or an accident."""

METADATA_BYTES = 64 * 2**20
"""What the texts beside a PNG's pixels may unpack to."""

# Pillow gives up at 1 MiB a text, which editing histories and prompts of diffusion models exceed.
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, METADATA_BYTES)


_OF_SEVERAL = ("GIF", "TIFF", "WEBP", "PNG")


def pictures(content: bytes) -> int:
    """How many pictures an encoded file holds: an animation's frames, or pages; 1 if it is damaged.

    The second picture that phones put into a JPEG counts for none.
    """
    kind = kind_of(content[:HEAD])
    if kind not in _OF_SEVERAL:
        return 1
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content), formats=(kind,)) as file:
            return int(getattr(file, "n_frames", 1))
    return 1


def square(content: bytes, size: int, formats: tuple[str, ...] = FORMATS) -> NDArray[np.uint8]:
    """An encoded image as uint8 [size, size, 3], see ``images.to_square``.

    Args:
        content: the file.
        size: width and height in px.
        formats: Pillow's decoders that it may call for.

    Raises:
        Unusable: it is none, damaged, too small or too large; says so in a few words.
    """
    if not content:
        raise Unusable("empty")
    try:
        with Image.open(io.BytesIO(content), formats=formats) as file:
            if min(file.size) < MIN_SIDE:
                raise Unusable(f"{file.width}x{file.height} px, under {MIN_SIDE}")
            return to_square(file, size)
    except (Unusable, UserError) as error:
        raise Unusable(str(error)) from None
    except UnidentifiedImageError:
        raise Unusable(what_else(content[:HEAD])) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"over {Image.MAX_IMAGE_PIXELS:,} px") from None
    except Exception as error:  # damaged bytes make decoders raise almost anything
        if "MAX_TEXT" in str(error) or "Decompressed data too large" in str(error):
            raise Unusable(f"over {METADATA_BYTES // 2**20} MiB of metadata") from None
        raise Unusable("damaged or cut short") from None
