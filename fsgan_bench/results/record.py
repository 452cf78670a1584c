"""What every record of a results root has in common: it is typed, frozen and of a known form.

Each record knows the version of its form, ``schema`` in the file; files from before there was one
are version 1 and stay readable. A file of a later version than this package writes is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fsgan_bench.errors import UserError, check_name, in_words, one_line

SCHEMA = "schema"

MOST = 10**12
"""Larger counts are a slip, and more than a figure's axis can hold."""

R = TypeVar("R", bound="Record")


def _name(value: object) -> str:
    try:
        return check_name("suite, target or method", value)
    except UserError as error:
        raise ValueError(str(error).rstrip(".")) from None


def _line(value: object) -> str:
    return "" if value is None else one_line(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapping(value: object) -> object:
    return {} if value is None else value


Name = Annotated[str, BeforeValidator(_name)]
Line = Annotated[str, BeforeValidator(_line)]
"""Text that people wrote, as one printable line; null is none."""
Text = Annotated[str, BeforeValidator(_text)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Fields = Annotated[Mapping[str, Any], BeforeValidator(_mapping)]


class Record(BaseModel):
    """What one file or line says; what it holds besides is passed over."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    version_written: ClassVar[int] = 2
    what: ClassVar[str] = "record"

    form: int = Field(default=1, alias="schema", ge=1)

    @classmethod
    def parse(cls: type[R], value: Mapping[str, Any], where: str) -> R:
        """The record in ``value``, read from the file (and line) ``where``.

        Raises:
            UserError: something is missing or of another kind, or the form is a later one.
        """
        try:
            record = cls.model_validate(value)
        except (ValidationError, RecursionError) as error:
            raise UserError(f"{where} is not {cls.what}: {_cause(error)}.") from None
        if record.form > cls.version_written:
            raise UserError(
                f"{where} was written by a later fsgan-bench (form {record.form}; this one knows "
                f"{cls.version_written}); update to read it."
            )
        return record


def _cause(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deep"
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"'{place}' is missing"
    return one_line(f"{place}: {in_words(first)}")
