"""What was moved to another database, as words. Pure."""

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import number, paragraphs, table


def copied(rows: dict[str, int], entries: int, head: str, target: str) -> Text:
    """The rows of each table that has any, and the head that both logs have."""
    lines = [(name, number(count)) for name, count in sorted(rows.items()) if count]
    sentence = (
        f"{number(sum(rows.values()))} rows are in {plain(target)}, each compared with "
        f"its original.\nThe audit log has the same head, {number(entries)} entries, "
        f"and verifies there: {head}"
    )
    return paragraphs(table(("TABLE", "ROWS"), lines), Text(), Text(sentence))


def what_next(target: str, file: str, *, shared: bool) -> str:
    """What the person does to use the new database."""
    if not shared:
        return f"\nTake `url` out of [database] in {file}, then look: orloj status"
    return (
        f"\nWrite into {file}, with the password in place of the stars:\n\n"
        f'[database]\nurl = "{plain(target)}"\n\nThen look: orloj status'
    )
