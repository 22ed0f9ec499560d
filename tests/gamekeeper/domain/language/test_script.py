"""Scripts of commands: each template is one variable."""

from __future__ import annotations

from gamekeeper.domain.language.script import build_script

T = "${{ args.a }}"


def test_a_template_is_one_variable_however_often_it_stands() -> None:
    script = build_script([f"a {T} {T}", "b ${{ args.b }}", f"c {T}"])
    assert script.environment == {"GAMEKEEPER_EXPR_1": T, "GAMEKEEPER_EXPR_2": "${{ args.b }}"}
    assert script.text.splitlines()[1::2] == [
        "a ${GAMEKEEPER_EXPR_1} ${GAMEKEEPER_EXPR_1}",
        "b ${GAMEKEEPER_EXPR_2}",
        "c ${GAMEKEEPER_EXPR_1}",
    ]
