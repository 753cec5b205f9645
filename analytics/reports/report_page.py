"""A report as one page: complete in itself, for a browser, for print, and for the body of an e-mail.

Styles stand in every element as well as in the head, because programs for e-mail drop the head. What those drop
besides, pictures, says nothing that the figures beside them do not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import css_inline

from analytics.figures import UNKNOWN, amount, hours, share
from analytics.invoices import templates
from analytics.reports.report import Kind, Report, Value, made_from_words
from analytics.words import printable

MOST_LETTERS: Final = 120  # of a name in a table; a workbook has all of it
_inliner: Final = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)


def report_html(report: Report) -> str:
    """Return the page of a report. Text in it is escaped, and nothing is fetched."""
    page = templates.get_template("report.html.j2").render(
        report=report,
        amount=UNKNOWN if report.amount is None else amount(report.amount),
        made_from=made_from_words(report),
        show=show,
        cut=cut,
    )
    inlined: str = _inliner.inline(page)
    return inlined


def show(value: Value, kind: Kind) -> str:
    """Return a figure as people read it; a dash where it is not known."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    if kind is Kind.MONEY:
        return amount(Decimal(value))
    if kind is Kind.HOURS:
        return hours(float(value))
    return share(float(value)) if kind is Kind.RATIO else f"{value:,}"


def cut(value: Value) -> str:
    """Return text for a cell of a page: what can be seen of it, and its first letters where it is very long."""
    text = "" if value is None else printable(str(value))
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
