"""Pip's constraints for the lowest version of every dependency that pyproject.toml allows.

``python tests/lowest.py > constraints.txt``; Python 3.11 or newer. Test tools are left as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def constraints() -> list[str]:
    """``NAME==LOWEST`` for each dependency, and for those of the extras that are not tools."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name, each in extras.items() if name != "dev" for line in each),
    ]
    found = {}
    for line in lines:
        match = re.match(r"([\w.-]+)(?:>=|~=)([\d.]+)", line)
        if match is None:
            raise ValueError(f"{PYPROJECT}: '{line}' has no lower bound")
        found[match[1]] = match[2]
    return [f"{name}=={version}" for name, version in found.items()]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")
