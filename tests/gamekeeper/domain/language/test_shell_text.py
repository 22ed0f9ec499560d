"""Templates in commands where a shell would not replace their variable, and where it would. A real shell has the last
word."""

from __future__ import annotations

import subprocess

import pytest

from gamekeeper.domain.language.expressions import TEMPLATE
from gamekeeper.domain.language.shell_text import find_fault

T = "${{ args.a }}"


@pytest.mark.parametrize(
    ("command", "is_quoted"),
    [
        (f"echo {T}", False),
        (f"echo '{T}'", True),
        (f"'{T}", True),
        (f'echo "{T}"', False),
        (f'echo "it\'s {T}"', False),
        (f"echo 'a' {T} 'b'", False),
        (f"echo 'a' {T} '{T}'", True),
        (f"echo '\"{T}\"'", True),
        (f"echo '\"' {T}", False),
        (f"echo \\'{T}\\'", False),
        (f'echo "\\"" \'{T}\'', True),
        (f"echo '\\' {T}", False),
        (f"echo a # it's\necho {T}", False),
        (f"# it's {T}", False),
        (f"#'\n'{T}'", True),
        (f"echo a#'{T}'", True),
        (f"echo '#' {T}", False),
        (f'echo "# \'" {T}', False),
        ("echo ${{ 'it' }} ${{ \"'\" }} " + T, False),
        ("echo a # it's", False),
        ("echo 'a'", False),
    ],
)
def test_a_template_in_single_quotes_is_found(command: str, is_quoted: bool) -> None:
    fault = find_fault(command)
    assert (None if fault is None else fault.message) == (f'"{T}" stands in single quotes' if is_quoted else None)


QUOTED, ESCAPED, ENDLESS = "single quotes|end word is quoted", "behind a backslash", "has no end in this command"
# A command that prints the value, and the fault that keeps it from being printed.
COMMANDS: dict[str, tuple[str, str]] = {
    "a here-document": (f"cat <<EOF\nit's {T} today\nEOF", ""),
    "its end word in single quotes": (f"cat <<'EOF'\nit is {T}\nEOF", QUOTED),
    "its end word in double quotes": (f'cat <<"EOF"\nit is {T}\nEOF', QUOTED),
    "its end word behind a backslash": (f"cat << \\EOF\nit is {T}\nEOF", QUOTED),
    "its end word partly in quotes": (f"cat <<E'O'F\nit is {T}\nEOF", QUOTED),
    "tabs before its lines": (f"cat <<-EOF\n\tit's {T}\n\tEOF\necho {T}", ""),
    "a quote in it and one after it": (f"cat <<EOF\nit's\nEOF\necho '{T}'", QUOTED),
    "a double quote in it": (f'cat <<EOF\n"{T}\nEOF', ""),
    "two of a line": (f"cat <<A - <<B\nit's\nA\nit's {T}\nB", ""),
    "two of a line, the second quoted": (f"cat <<A - <<'B'\nit's\nA\nit's {T}\nB", QUOTED),
    "more words behind it": (f"cat <<EOF | tr a-z A-Z; echo {T}\nit's\nEOF", ""),
    "one after the other": (f"cat <<'A'\nit's\nA\ncat <<B\nit's {T}\nB", ""),
    "a backslash in it": (f"cat <<EOF\n\\{T}\nEOF", ESCAPED),
    "a substitution in it": (f"cat <<EOF\n$(echo '{T}')\nEOF", QUOTED),
    "a quoted substitution in it": (f'cat <<EOF\n$(echo "{T}")\nEOF', ""),
    "one in a substitution": (f'echo "$(cat <<EOF\nit\'s {T}\nEOF\n)"', ""),
    "without an end": (f"cat <<EOF\n{T}", ENDLESS),
    "its end in another command": ("cat <<EOF", ENDLESS),
    "no here-document but a shift": (f"echo $((1 << 2)) '{T}'", QUOTED),
    "a shift of a value": (f"echo $((1 << 2)) {T}", ""),
    "quotes in a substitution in quotes": (f"echo \"$(echo '{T}')\"", QUOTED),
    "quotes in backticks in quotes": (f"echo \"`echo '{T}'`\"", QUOTED),
    "quotes in quotes in a substitution": (f'echo "$(echo "it\'s {T}")"', ""),
    "quotes in a default in quotes": (f"echo \"${{nothing:-'{T}'}}\"", ""),
    "quotes in a default": (f"echo ${{nothing:-'{T}'}}", QUOTED),
    "a backslash": (f"echo \\{T}", ESCAPED),
    "a backslash in quotes": (f'echo "\\{T}"', ESCAPED),
    "two backslashes": (f"echo \\\\{T}", ""),
    "a subshell": (f"(echo 'a'; echo {T})", ""),
    "a quote in a comment in a subshell": (f"(echo {T} # it's\n)", ""),
    "a number of arguments": (f"echo $# {T} 'x'", ""),
    "a length": (f"x=ab; echo ${{#x}} {T}", ""),
}


@pytest.mark.parametrize(("command", "fault"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_is_refused_exactly_where_the_shell_prints_no_value(command: str, fault: str) -> None:
    found = find_fault(command)
    assert (found is not None) == bool(fault)
    if found is not None:
        assert any(part in found.message for part in fault.split("|"))
    if fault != ENDLESS:
        text, shell = TEMPLATE.sub("${VALUE}", command), {"PATH": "/usr/bin:/bin", "VALUE": "it arrived"}
        done = subprocess.run(["/bin/sh", "-ec", text], env=shell, capture_output=True, text=True, check=True)
        assert ("${VALUE}" in done.stdout) == bool(fault)
        assert ("it arrived" in done.stdout.lower()) != bool(fault)


UNFINISHED = ["cat <<", "<<'", "cat <<E\n", "$(", "`", '"', "'", "${", "(", ")", "\\", "<<<x", "<<E <<F\nE"]


@pytest.mark.parametrize("command", UNFINISHED)
def test_what_is_not_finished_ends(command: str) -> None:
    for text in (command, command * 50, f"{command}{T}", f"{T}{command}"):
        find_fault(text)
