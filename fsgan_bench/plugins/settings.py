"""Settings of methods: from ``--set METHOD.KEY=VALUE`` to a config of the types it declares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fsgan_bench.errors import UserError, check_keys, suggest, what_happened, where_blamed

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
            reason = first["msg"].removeprefix("Value error, ")
            raise UserError(f"The settings of {method.name} do not fit: {reason}.") from None
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{method.name}.{field}: {first['msg']}, got {first['input']!r}.") from None
    except (Exception, SystemExit) as error:
        where = where_blamed(error, method.Config)
        raise UserError(
            f"The Config of {method.name} ({where}): {what_happened(error)}."
        ) from error
    for name in values:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{method.name}.{name} must be a finite number, not {number}.")
    return config


def _split(value: Any, annotation: str) -> Any:
    if isinstance(value, str) and annotation.startswith("tuple"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def parse_settings(settings: Iterable[str], methods: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parse ``METHOD.KEY=VALUE`` strings into values by method and key.

    Raises:
        UserError: another form, a method that is not in ``methods``, or a key given twice.
    """
    known = list(methods)
    parsed: dict[str, dict[str, str]] = {}
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
        if key in parsed.setdefault(method, {}):
            raise UserError(f"--set gives {method}.{key} twice.")
        parsed[method][key] = value.strip()
    return parsed
