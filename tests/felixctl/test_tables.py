"""Both shapes of table, whatever stands in the cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from felixctl.tables import GAP, bordered, plain

cells = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
tables = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(tables)
def test_every_line_of_a_plain_table_is_equally_long_and_keeps_its_cells(table: list[list[str]]) -> None:
    *lines, empty = plain(table[0], table[1:]).split("\n")[:-1]
    assert empty == ""
    assert len({len(line) for line in lines}) == 1
    for line, row in zip(lines, table, strict=True):
        assert line.split() == [cell for cell in row if cell]
        assert line.endswith(" " * GAP)


def test_a_cell_stays_in_its_line_and_commands_nothing() -> None:
    assert plain(["a"], [["b\n\x1b[2J"]]) == f"a{' ' * 12}\nb\\n\\x1b[2J   \n\n"
    assert bordered(["a"], [["b\nc"]]).splitlines()[3] == "| b\\nc |"


@given(tables)
def test_every_line_of_a_bordered_table_is_equally_long(table: list[list[str]]) -> None:
    lines = bordered(table[0], table[1:]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(table) + 3
    assert lines[0] == lines[2] == lines[-1]


def test_numbers_stand_to_the_right_and_the_rest_to_the_left() -> None:
    assert bordered(["name", "count"], [["a", "1"], ["bcdef", "1.2e+24"], ["x", "3 (5%)"]]) == (
        "+-------+---------+\n"
        "| NAME  |  COUNT  |\n"
        "+-------+---------+\n"
        "| a     |       1 |\n"
        "| bcdef | 1.2e+24 |\n"
        "| x     | 3 (5%)  |\n"
        "+-------+---------+\n"
    )
