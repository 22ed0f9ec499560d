"""Labels in conditions of SQL: a row has a key with a value, whatever characters they are made of.

SQLite's paths into JSON don't find a key that has other letters than English ones, nor one with a quote: they compare
it with the text as it is stored, escapes and all. So its pairs are looked through instead.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Boolean


class has_label(FunctionElement[bool]):  # it reads as the function that it is
    """``has_label(column, key, value)``: false for labels that are none."""

    inherit_cache = True
    name = "has_label"
    type = Boolean()

    def __init__(self, labels: Any, key: str, value: str) -> None:
        super().__init__(labels, literal(key, String()), literal(value, String()))


class has_any_label(FunctionElement[bool]):
    """``has_any_label(column, [(key, value), ...])``: a row with one of the pairs. However many they are, they are one
    text of JSON, since a statement of hundreds of values takes the database longer to plan than to answer."""

    inherit_cache = True
    name = "has_any_label"
    type = Boolean()

    def __init__(self, labels: Any, pairs: Collection[tuple[str, str]]) -> None:
        super().__init__(labels, literal(json.dumps([list(pair) for pair in pairs], ensure_ascii=False), String()))


@compiles(has_any_label, "sqlite")
def _any_on_sqlite(element: has_any_label, compiler: Any, **options: Any) -> str:
    labels, asked = (compiler.process(clause, **options) for clause in element.clauses)
    key, value = (f"json_extract(asked.value, '$[{index}]')" for index in (0, 1))
    wanted = f"SELECT {key}, {value} FROM json_each({asked}) AS asked"
    return f"EXISTS (SELECT 1 FROM json_each({labels}) AS pair WHERE (pair.key, pair.atom) IN ({wanted}))"


@compiles(has_any_label, "postgresql")
def _any_on_postgresql(element: has_any_label, compiler: Any, **options: Any) -> str:
    labels, asked = (compiler.process(clause, **options) for clause in element.clauses)
    whole = f"CASE json_typeof({labels}) WHEN 'object' THEN {labels} ELSE '{{}}'::json END"
    wanted = f"SELECT asked.value ->> 0, asked.value ->> 1 FROM json_array_elements(CAST({asked} AS json)) AS asked"
    return f"EXISTS (SELECT 1 FROM json_each_text({whole}) AS pair WHERE (pair.key, pair.value) IN ({wanted}))"


@compiles(has_label, "sqlite")
def _on_sqlite(element: has_label, compiler: Any, **options: Any) -> str:
    labels, key, value = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({labels}) AS pair WHERE pair.key = {key} AND pair.atom = {value})"


@compiles(has_label, "postgresql")
def _on_postgresql(element: has_label, compiler: Any, **options: Any) -> str:
    labels, key, value = (compiler.process(clause, **options) for clause in element.clauses)
    return f"COALESCE(({labels} ->> {key}) = {value}, false)"
