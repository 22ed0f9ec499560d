"""Regular expressions of arguments. CEL's own engine runs them: its time grows with the text alone, so that no pattern
stalls the api, and "$" is the end of the text and nothing else."""

from __future__ import annotations

import cel

from gamekeeper.domain.language.expression_words import pattern_words

_PROGRAM = cel.compile("text.matches(pattern)")


def matches(pattern: str, text: str) -> bool:
    """True when the pattern is found in the whole text. Raises ValueError that says what is wrong with the pattern."""
    try:
        return bool(_PROGRAM.execute(cel.Context({"text": text, "pattern": pattern})))
    except Exception as error:
        raise ValueError(f'"{pattern}" is not a regular expression: {pattern_words(str(error))}') from error
