"""Invoices and reports as PDF: their pages, set on A4 without a browser.

A reprint is the same file to the byte where the same fonts and versions set it: dates and identity in it are the
document's own, and nothing is fetched.
"""

from __future__ import annotations

from typing import Final

from analytics.invoices import Document, invoice_html
from gpuledger.errors import ConfigError, GpuLedgerError

LIBRARIES: Final = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"


def invoice_pdf(answer: Document) -> bytes:
    """Return the PDF of an invoice; `answer` is the collector's `/v1/invoice`. Raises as `page_pdf` does."""
    return page_pdf(invoice_html(answer), f"{answer['period_digest']}-{answer['invoice']['number']}")


def page_pdf(html: str, identity: str) -> bytes:
    """Return the PDF of a page, which bears this identity.

    Raises ConfigError where the libraries that set text are not installed.
    """
    try:
        import weasyprint  # noqa: PLC0415 - half a second, and libraries of the system, for those who print
    except OSError as error:
        raise ConfigError(
            f"a PDF needs libraries of the system: {str(error).splitlines()[0]}",
            hint=f"apt-get install {LIBRARIES}   (or print the page of --format html with a browser)",
        ) from error
    page = weasyprint.HTML(string=html, url_fetcher=_refuse)
    data: bytes = page.write_pdf(pdf_identifier=identity.encode(), pdf_variant="pdf/a-3u")
    return data


def _refuse(url: str, *_: object, **__: object) -> None:
    raise GpuLedgerError(f"a document fetches nothing, and {url} was asked for")
