"""Templates in single quotes, where a shell would not replace their variable."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.script import build_script, find_single_quoted

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
    assert find_single_quoted(command) == (T if is_quoted else None)


def test_a_template_is_one_variable_however_often_it_stands() -> None:
    script = build_script([f"a {T} {T}", "b ${{ args.b }}", f"c {T}"])
    assert script.environment == {"GAMEKEEPER_EXPR_1": T, "GAMEKEEPER_EXPR_2": "${{ args.b }}"}
    assert script.text.splitlines()[1::2] == [
        "a ${GAMEKEEPER_EXPR_1} ${GAMEKEEPER_EXPR_1}",
        "b ${GAMEKEEPER_EXPR_2}",
        "c ${GAMEKEEPER_EXPR_1}",
    ]
