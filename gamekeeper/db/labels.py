"""Labels in conditions of SQL: a row has a key with a value, whatever characters they are made of.

SQLite's paths into JSON don't find a key that has other letters than English ones, nor one with a quote: they compare
it with the text as it is stored, escapes and all. So its pairs are looked through instead.
"""

from __future__ import annotations

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


@compiles(has_label, "sqlite")
def _on_sqlite(element: has_label, compiler: Any, **options: Any) -> str:
    labels, key, value = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({labels}) AS pair WHERE pair.key = {key} AND pair.atom = {value})"


@compiles(has_label, "postgresql")
def _on_postgresql(element: has_label, compiler: Any, **options: Any) -> str:
    labels, key, value = (compiler.process(clause, **options) for clause in element.clauses)
    return f"COALESCE(({labels} ->> {key}) = {value}, false)"
