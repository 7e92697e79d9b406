"""Tables and facts: formatted on a terminal, plain aligned lines elsewhere."""

import sys
from collections.abc import Sequence


def print_title(title: str) -> None:
    """A heading with an empty line before it."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(f"\n[bold]{title}[/bold]")
    else:
        print(f"\n{title}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """`rows` under the headings `columns`; on a terminal cells wrap, elsewhere each row is one line."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    for row in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Name and value, one below the other."""
    width = max(len(name) for name, _ in facts)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        for name, value in facts:
            grid.add_row(Text(name, style="dim"), Text(value, overflow="fold"))
        Console().print(grid)
        return
    for name, value in facts:
        print(f"{name.ljust(width)}  {value}")
