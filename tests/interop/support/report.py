"""The table client × case, for people and for docs/interop.md."""

import re

from .clients import CASES, CLIENTS

TABLE_MARKS = ("<!-- table: written by tests/interop/run --write -->", "<!-- end of table -->")


def word(played, case):
    return played.verdicts.get(case, "n/a").partition(" ")[0].rstrip(":")


def rows(results):
    yield ["client", *CASES]
    for played in results:
        yield [played.client.name, *(word(played, case) for case in CASES)]


def print_table(results):
    for row in rows(results):
        print("  ".join(cell.ljust(11) for cell in row).rstrip())
    for played in results:
        print(f"{played.client.name}: {played.versions or 'not run'}")
        for note in played.notes:
            print(f"  {note}")
        for complaint in complaints(played):
            print(f"  {complaint}")


def complaints(played):
    for verdict, cases in by_text(played.verdicts).items():
        if verdict != "ok":
            yield f"{cases}: {verdict}"


def by_text(text_by_case):
    """The cases that share a text, joined with commas."""
    texts = {}
    for case, text in text_by_case.items():
        texts[text] = f"{texts[text]}, {case}" if text in texts else case
    return texts


def count(results, skips_fail):
    """The last line, and whether everything passed."""
    words = [word(played, case) for played in results for case in played.client.cases]
    passed, skipped = words.count("ok"), 0 if skips_fail else words.count("skipped")
    failed = len(words) - passed - skipped
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), not failed


def write(results, page):
    """Replaces the text between the marks of the page."""
    start, end = TABLE_MARKS
    text = page.read_text()
    if start not in text or end not in text:
        raise SystemExit(f"{page} has no marks for the table")
    table = "\n".join([*markdown_table(results), "", *(f"- {line}" for line in remarks(results))])
    pattern = re.escape(start) + ".*" + re.escape(end)
    page.write_text(re.sub(pattern, lambda _: f"{start}\n{table}\n{end}", text, flags=re.DOTALL))


def markdown_table(results):
    head, *body = (row + [last] for row, last in zip(rows(results), ["versions", *(p.versions for p in results)]))
    for row in (head, ["---"] * len(head), *body):
        yield f"| {' | '.join(row)} |"


def remarks(results):
    for client in CLIENTS:
        for reason, cases in by_text(client.not_applicable).items():
            yield f"n/a for {client.name}, {cases}: {reason}"
    for played in results:
        yield from (f"{played.client.name}: {complaint}" for complaint in complaints(played))
