"""The model in words: its keys, and what each accepts; for errors and the reference."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from toolkit.settings.model import Settings
from toolkit.settings.section import Section
from toolkit.settings.types import Accepts, Unit

Model = type[BaseModel]


@dataclass(frozen=True)
class Type:
    """A type of the model without its `Annotated` and `| None`."""

    base: Any
    metadata: tuple[Any, ...] = ()
    optional: bool = False

    @property
    def is_container(self) -> bool:
        """Whether it is a section, a mapping or a list."""
        return get_origin(self.base) in (dict, tuple) or _is_model(self.base)

    @property
    def is_list(self) -> bool:
        return get_origin(self.base) is tuple

    @property
    def unit(self) -> str:
        return next((item.words for item in self.metadata if isinstance(item, Unit)), "")

    @property
    def words(self) -> str:
        """What the type accepts, to follow "accepted: "."""
        for item in self.metadata:
            if isinstance(item, Accepts):
                return item.words
        return self._generic_words()

    def _generic_words(self) -> str:
        arguments = get_args(self.base)
        if get_origin(self.base) is Literal:
            *most, last = (str(argument) for argument in arguments)
            return f"{', '.join(most)} or {last}" if most else last
        if get_origin(self.base) is tuple:
            return f"a list; each item {type_of(arguments[0]).words}"
        if get_origin(self.base) is dict:
            return f"a mapping of names to values; each value {type_of(arguments[1]).words}"
        if _is_model(self.base):
            return f"a mapping with the keys {', '.join(self.base.model_fields)}"
        if self.base is int:
            return f"a whole number{self._range()}"
        return {str: "text", bool: "true or false", float: "a number"}.get(self.base, "a value")

    def _range(self) -> str:
        lower = next(
            (item.ge for item in self.metadata if isinstance(item, annotated_types.Ge)), ""
        )
        upper = next(
            (item.le for item in self.metadata if isinstance(item, annotated_types.Le)), ""
        )
        return f" from {lower} to {upper}" if upper != "" else ""


@dataclass(frozen=True)
class Key:
    """A setting by its dotted key, such as `gateway.port`, and the model that has its field."""

    name: str
    type: Type
    field: FieldInfo
    model: Model

    @property
    def meaning(self) -> str:
        """What the text under the field says; reads the source."""
        return meanings(self.model).get(self.name.rpartition(".")[2], "")


def type_of(annotation: Any, metadata: Sequence[Any] = ()) -> Type:
    """Return the `Type` of an annotation of the model."""
    if get_origin(annotation) is Annotated:
        base, *inner = get_args(annotation)
        return type_of(base, [*metadata, *inner])
    if get_origin(annotation) in (Union, UnionType):
        [inner_type] = [item for item in get_args(annotation) if item is not NoneType]
        found = type_of(inner_type, metadata)
        return Type(found.base, found.metadata, optional=True)
    return Type(annotation, tuple(metadata))


def type_at(path: Sequence[str | int], model: Model = Settings) -> Type | None:
    """Return the type of the setting at `path`, or nothing if the model has no such key."""
    found = Type(model)
    if path and path[-1] == "[key]":  # pydantic's word for the name of an item of a mapping
        mapping = type_at(path[:-2], model)
        return type_of(get_args(mapping.base)[0]) if mapping else None
    for part in path:
        arguments = get_args(found.base)
        if _is_model(found.base):
            field = found.base.model_fields.get(str(part))
            if field is None:
                return None
            found = type_of(field.annotation, field.metadata)
        elif get_origin(found.base) is tuple:
            found = type_of(arguments[0])
        elif get_origin(found.base) is dict:
            found = type_of(arguments[1])
        else:
            return Type(Any) if found.base is Any else None
    return found


@cache
def all_keys() -> tuple[Key, ...]:
    """Return every setting, in the order of the model."""
    return tuple(_keys(Settings, ""))


@cache
def meanings(model: Model) -> dict[str, str]:
    """Return what the keys of a model mean: the texts under its fields, by field."""
    found: dict[str, str] = {}
    for base in model.__bases__:
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= meanings(base)
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in itertools.pairwise(definition.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(meaning))),
            ):
                found[name] = inspect.cleandoc(meaning)
    return found


def _keys(model: Model, prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        found = type_of(field.annotation, field.metadata)
        if isinstance(found.base, type) and issubclass(found.base, Section):
            yield from _keys(found.base, f"{prefix}{name}.")
        else:
            yield Key(f"{prefix}{name}", found, field, model)


def _is_model(base: Any) -> bool:
    return isinstance(base, type) and issubclass(base, BaseModel)
