"""``commands`` as one ``sh -ec`` script in which no value can become shell code.

Each ``${{ }}`` reaches the shell as a variable. Text substitution, as most systems do it, lets an argument such as
``$(reboot)`` run; a variable's value is never parsed as code.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from gamekeeper.domain.language.expressions import TEMPLATE
from gamekeeper.domain.language.secret_expressions import env_of

VARIABLE = "GAMEKEEPER_EXPR_"


@dataclass
class Script:
    """``environment`` maps each variable of the script to the template it stands for, ``variables`` the other way."""

    text: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def build_script(commands: list[str], secrets: frozenset[str] = frozenset()) -> Script:
    """One script that echoes each command before it runs it, as ``+ command``; for those of the envs that are
    ``secrets`` it echoes stars."""
    script = Script()
    lines = []
    for command in commands:
        lines.append(f"printf '+ %s\\n' {_echoed(script, command, secrets)}")
        lines.append(TEMPLATE.sub(lambda match: _variable(script, match.group()), command))
    script.text = "\n".join(lines)
    return script


def _echoed(script: Script, command: str, secrets: frozenset[str]) -> str:
    """The command as one shell word: its own text quoted, each template as its variable in double quotes.

    A value must not stand in the quoted text: one with a quote in it would leave the quotes and become code.
    """
    word, end = "", 0
    for match in TEMPLATE.finditer(command):
        shown = f'"{_variable(script, match.group())}"' if env_of(match.group(1)) not in secrets else "'***'"
        word += shlex.quote(command[end : match.start()]) + shown
        end = match.end()
    return word + shlex.quote(command[end:])


def _variable(script: Script, template: str) -> str:
    name = script.variables.setdefault(template, f"{VARIABLE}{len(script.environment) + 1}")
    script.environment[name] = template
    return "${" + name + "}"
