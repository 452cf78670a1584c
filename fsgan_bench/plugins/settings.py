"""Settings of methods: from ``--set METHOD.KEY=VALUE,...`` to configs of the declared types."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import UserError, check_keys, in_words, suggest, what_happened, where_blamed

if TYPE_CHECKING:
    from fsgan_bench.training.method import Method


def build_config(method: type[Method], values: Mapping[str, Any]) -> Any:
    """Make a method's config from field values, given as Python values or as text.

    Raises:
        UserError: an unknown field (with a suggestion) or a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    fields = {field.name: field for field in dataclasses.fields(method.Config)}
    check_keys(method.name, values, fields)
    try:
        config = TypeAdapter(method.Config).validate_python(
            {name: _split(value, str(fields[name].type)) for name, value in values.items()}
        )
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise UserError(
                f"The settings of {method.name} do not fit: {in_words(first)}."
            ) from None
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{method.name}.{field}: {in_words(first)}.") from None
    except (Exception, SystemExit) as error:
        where = where_blamed(error, method.Config)
        raise UserError(
            f"The Config of {method.name} ({where}): {what_happened(error)}."
        ) from error
    for name in fields:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{method.name}.{name} must be a finite number, not {number}.")
    return config


def build_configs(method: type[Method], values: Mapping[str, Sequence[str]]) -> list[Any]:
    """A config for every combination of the values that each field is given, in their order.

    A comma stands between two values of a field, but in a tuple between two elements: a field that
    is a tuple takes further values from a ``--set`` of their own.

    Raises:
        UserError: as :func:`build_config`, or two combinations are the same config.
    """
    fields = {field.name: str(field.type) for field in dataclasses.fields(method.Config)}
    choices = []
    for name, texts in values.items():
        listed = fields.get(name, "").startswith("tuple")
        if len(texts) > 1 and not listed:
            raise UserError(
                f"--set gives {method.name}.{name} twice; a cell for each value is written "
                f"--set {method.name}.{name}={','.join(texts)}."
            )
        parts = texts if listed else [part.strip() for part in texts[0].split(",")]
        choices.append([(name, part) for part in parts])
    configs: list[Any] = []
    for combination in itertools.product(*choices):
        config = build_config(method, dict(combination))
        if config in configs:
            named = ", ".join(f"{method.name}.{name}={value}" for name, value in combination)
            raise UserError(f"--set gives {named} twice.")
        configs.append(config)
    return configs


def described(config: type[Any]) -> dict[str, str]:
    """What the docstrings of a dataclass and of its bases say of each attribute."""
    told: dict[str, str] = {}
    for base in reversed(config.__mro__):
        _, _, text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for name, words in re.findall(r"^    (\w+): (.*(?:\n      .*)*)", text, re.MULTILINE):
            told[name] = " ".join(words.split())
    return told


def _split(value: Any, annotation: str) -> Any:
    if isinstance(value, str) and annotation.startswith("tuple"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def parse_settings(
    settings: Iterable[str], methods: Iterable[str]
) -> dict[str, dict[str, list[str]]]:
    """Parse ``METHOD.KEY=VALUE`` strings into values by method and key, several if it is repeated.

    Raises:
        UserError: another form, or a method that is not in ``methods``.
    """
    known = list(methods)
    parsed: dict[str, dict[str, list[str]]] = {}
    for setting in settings:
        target, equals, value = setting.partition("=")
        method, dot, key = (part.strip() for part in target.partition("."))
        if not (equals and dot and method and key):
            raise UserError(f"--set takes METHOD.KEY=VALUE, not '{setting}'.")
        if method not in known:
            raise UserError(
                f"--set {setting}: the method '{method}' is not in this run "
                f"({', '.join(known)}).{suggest(method, known)}"
            )
        parsed.setdefault(method, {}).setdefault(key, []).append(value.strip())
    return parsed
