"""Errors of CEL in plain words: what its parser and interpreter say is for programmers."""

from __future__ import annotations

import re

_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): Syntax error: (.*)")
_UNKNOWN = re.compile(r"Undefined variable or function: '([^']*)'")
_OURS = re.compile(r"Python function call failed: InvalidError: (.*)\. Check function arguments", re.DOTALL)
_FUNCTION = re.compile(r"Function '(\w+)' error: ")
_REGEX = re.compile(r"error: ([^\n]*?)\.? Check function arguments")
_OUT_OF_BOUNDS = re.compile(r"index out of bounds: (\S+)")


# Names and functions of GitHub's expressions.
FOREIGN_NAMES = {
    "inputs": "write args.NAME",
    "parameters": "write args.NAME",
    "env": "write envs.NAME",
    "vars": "write envs.NAME",
    "variables": "write envs.NAME",
    "needs": "write steps.NAME.outputs.KEY, or steps.NAME.status",
    "jobs": "write steps.NAME.outputs.KEY, or steps.NAME.status",
    "job": "write run.status",
    "github": "write run.id, run.name or run.status; what else is needed comes in by args",
    "runner": "write node.id",
    "strategy": "write matrix.NAME",
    "secrets": "declare it as envs: {KEY: {secret: s3-key}}, and write envs.KEY",
}
FOREIGN_FUNCTIONS = {
    "fromJSON": "write from_json(text)",
    "toJSON": "leave it out: a list or a mapping within a text becomes JSON",
    "hashFiles": "write hash(text) of a step's output",
    "format": 'write the templates within the text: "${{ args.a }}-${{ args.b }}"',
    "join": "leave it out: a list within a text becomes JSON",
    "failed": "write failure()",
    "canceled": "write cancelled()",
    "startsWith": "write text.startsWith(start)",
    "endsWith": "write text.endsWith(end)",
    "contains": "write text.contains(part), or item in list",
}


def parse_words(error: Exception) -> str:
    """The place at which an expression can't be read, and the reason."""
    found = _PLACE.search(str(error))
    if found is None:
        return "it can't be read"
    line, column, reason = found.groups()
    where = f"at column {column}" if line == "1" else f"at line {line}, column {column}"
    return f"{where}: {_syntax(reason)}"


def _syntax(reason: str) -> str:
    missing = re.match(r"missing ('.+?') at", reason)
    if missing:
        return f"{_quoted(missing.group(1))} is missing"
    if "'<EOF>'" in reason.split(" expecting")[0]:
        return "it ends too early"
    token = re.match(r"token recognition error at: ('.*')", reason)
    if token:
        return f"{_quoted(token.group(1))} is no word of an expression; is a quote missing?"
    odd = re.search(r"input ('.*?')(?: expecting|$)", reason)
    return f"{_quoted(odd.group(1))} can't stand there" if odd else "it can't be read"


def _quoted(text: str) -> str:
    return '"' + text[1:-1] + '"'


def failure_words(error: Exception) -> str:
    """The reason that an expression has no value."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"there is no {text}"
    if isinstance(error, ZeroDivisionError):
        return "it divides by zero"
    if isinstance(error, OverflowError):
        return "a number is beyond 2^63"
    if isinstance(error, IndexError):
        index = _OUT_OF_BOUNDS.search(text)
        return f"the list has no entry {index.group(1)}" if index else "the list has no such entry"
    if isinstance(error, TypeError):
        return "the types of its values do not fit; convert them with int(), double() or string()"
    return _runtime(text)


def _runtime(text: str) -> str:
    unknown, ours, function = _UNKNOWN.search(text), _OURS.search(text), _FUNCTION.match(text)
    if unknown:
        return f'there is no function "{unknown.group(1)}" for such values'
    if ours:
        return ours.group(1)
    if function and function.group(1) == "matches":
        return f"the pattern is not a regular expression: {pattern_words(text)}"
    if function:
        return f"{function.group(1)}() can't read its value"
    return "its values do not fit"


def pattern_words(text: str) -> str:
    """The reason that a regular expression is none."""
    if "exceeds size limit" in text:
        return "it is too large"
    found = _REGEX.search(text)
    return found.group(1) if found else "it can't be read"
