"""``--help`` of every command: an example that can be parsed, options in groups, completion."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main

LONG = ("run", "reproduce", "evaluate", "generate", "pretrain")


def commands(group: click.Group = main, *names: str) -> Iterator[tuple[str, ...]]:
    """The names that lead to each command."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


def shown(*names: str) -> str:
    result = CliRunner().invoke(main, [*names, "--help"])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("names", list(commands()), ids=" ".join)
def test_a_commands_example_is_one_that_it_takes(names: tuple[str, ...]) -> None:
    (example,) = re.findall(r"^  Example: fsgan-bench (.*)$", shown(*names), re.MULTILINE)
    arguments = shlex.split(example)
    assert tuple(arguments[: len(names)]) == names
    command: click.Command = main
    for name in names:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    command.make_context(names[-1], arguments[len(names) :])


def test_every_command_is_in_a_section() -> None:
    assert "Other commands" not in shown()
    assert all(re.search(rf"^  {name} ", shown(), re.MULTILINE) for name in main.commands)


@pytest.mark.parametrize("name", LONG)
def test_many_options_are_in_groups(name: str) -> None:
    *groups, other = re.split(r"^(?=\w[\w ]*:\n)", shown(name), flags=re.MULTILINE)[1:]
    assert other.startswith("Other options:\n") and len(re.findall(r"^  -", other, re.M)) == 1
    assert len(groups) >= 3
    assert all(len(re.findall(r"^  --", group, re.M)) <= 10 for group in groups)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    def completed(words: str) -> str:
        *before, incomplete = words.split()
        asked = {
            "_FSGAN_BENCH_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": incomplete if shell == "fish" else str(len(before)),
        }
        return CliRunner().invoke(main, env=asked, prog_name="fsgan-bench").output

    assert "reproduce" in completed("fsgan-bench repr")
    assert "--methods" in completed("fsgan-bench run --me")
