"""An invoice as a page: what it says first, how its lines sum, and that no name in it becomes markup."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.invoice_pdf import invoice_pdf
from analytics.invoices import invoice_html
from gpuledger.errors import ConfigError


def line(payable: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "line": 1, "kind": "charge", "project": "captions", "model": "NVIDIA L40S", "mig_profile": "", "state": "active",
        "corrects": "", "because": "", "gpu_hours": 10.0, "unpriced_gpu_hours": 0.0, "cost": payable, "payable": payable,
    }  # fmt: skip
    return {**fields, **changes}


def answer(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    head = {
        "number": 7, "kind": "invoice", "period": "2026-10", "organisation": "acme", "department": "research",
        "team": "vision-research", "gpu_hours": 31.5, "complete_ratio": 0.975, "currency": "EUR", "cost": "1234.504999",
        "payable": "1234.50", "issued_at": "2026-11-02T08:00:00Z",
        "zone": "Europe/Berlin", "unpriced_gpu_hours": 0.0,
    }  # fmt: skip
    exception = changes.pop("exception", "")
    return {"invoice": {**head, **changes}, "period_digest": "ab" * 32, "exception": exception, "rows": list(rows)}


WHOLE = answer(
    line("900.00"),
    line("250.00", state="held_idle"),
    line("100.00", project="", model="NVIDIA A100-SXM4-40GB", mig_profile="2g.10gb", state="held_unobserved"),
    line("-15.50", kind="correction", corrects="2026-09", state="unobserved", project=""),
)


def test_the_page_is_golden(golden: Callable[[str, str], None]) -> None:
    """A whole invoice: amount, finding, a section for each project and each corrected period, the rounding rule."""
    golden("invoice.html", invoice_html(WHOLE))


def test_what_is_to_know_comes_first() -> None:
    """The amount, and how much of it was for GPUs that were held and did nothing."""
    page = invoice_html(WHOLE)
    assert "1,234.50&nbsp;EUR" in page
    assert "250.00 (20 %) of it for GPUs that were held and did no work" in page
    assert "\N{MINUS SIGN}15.50 corrects earlier periods" in page
    assert "October 2026" in page
    assert "Vision research" in page
    assert "Correction of September 2026" in page
    assert "98 %" in page


def test_a_credit_note_and_the_platform_are_called_so() -> None:
    """A negative amount is a credit note; an owner without a name is the platform."""
    page = invoice_html(answer(line("-3.00", state="idle", project=""), kind="credit_note", team="", payable="-3.00"))
    assert "<h1>Credit note 7</h1>" in page
    assert "<strong><bdi>Platform</bdi></strong>" in page
    assert "\N{MINUS SIGN}3.00&nbsp;EUR" in page
    assert "Capacity that no team held" in page


def test_the_platform_is_told_what_it_pays_for() -> None:
    """Idle and unseen time stands apart from GPUs that somebody held whom no rule names."""
    rows = [
        line("5.00", project=""),
        line("20.00", project="", state="idle"),
        line("1.00", project="", state="unobserved"),
        line("4.00", project="", state="held_idle"),
    ]
    page = invoice_html(answer(*rows, team=""))
    due = "for time that no team owns: 20.00 idle capacity, 9.00 GPUs whose holder no rule names, 1.00 not observed"
    assert due in page
    assert page.index("<bdi>GPUs that were held</bdi>") < page.index("<bdi>Capacity that no team held</bdi>")


def test_an_exception_that_the_period_was_closed_with_is_on_the_page() -> None:
    """Time without a price is not silently free: who accepted it, and what it was, is for the reader."""
    page = invoice_html(answer(line("1.00"), exception="agreed by Ann; 2.0 GPU-hours have no price"))
    assert "closed with an exception: <bdi>agreed by Ann; 2.0 GPU-hours have no price</bdi>" in page
    assert "exception:" not in invoice_html(WHOLE)


def test_only_corrections_are_called_that() -> None:
    """Nothing is said of capacity where an invoice has no time of its own."""
    page = invoice_html(answer(line("-3.00", kind="correction", corrects="2026-09"), payable="-3.00"))
    assert '<div class="muted">\N{MINUS SIGN}3.00 corrects earlier periods</div>' in page


def test_adjustments_say_why_and_count_no_time_again() -> None:
    """They have a table of their own, with their reasons and without a sum of hours."""
    credit = line("-2.00", kind="fault_credit", because="GPU 3 <lost>", state="unavailable", gpu_hours=1.5)
    page = invoice_html(answer(line("10.00"), credit))
    assert "<bdi>Adjustments</bdi>" in page
    assert "<bdi>GPU 3 &lt;lost&gt; (NVIDIA L40S)</bdi></td><td>credit for a fault</td>" in page
    assert "\N{MINUS SIGN}2.00 is adjustments" in page
    assert '<td colspan="2">Sum</td><td class="figure"></td><td class="figure">\N{MINUS SIGN}2.00</td>' in page


@pytest.mark.parametrize("field", ["team", "department", "organisation", "period"])
def test_names_are_text_and_never_markup(field: str) -> None:
    """A hostile name is shown, not run."""
    page = invoice_html(answer(line("1.00", project="<b>x"), **{field: "<script>alert(1)</script>"}))
    assert "<script" not in page.lower()
    assert "<b>" not in page


def test_sections_sum_to_the_invoice() -> None:
    """The printed sums of the sections are the payable amount."""
    page = invoice_html(WHOLE)
    sums = [
        text.replace(",", "").replace("\N{MINUS SIGN}", "-")
        for text in re.findall(r'Sum.*?figure">.*?figure">([^<]*)<', page)
    ]
    assert sum(map(float, sums)) == 1234.5


def test_time_without_a_price_is_said(golden: Callable[[str, str], None]) -> None:
    """It is no amount of nought: the line says so, and the page how much of it there is."""
    unpriced = line("0.00", gpu_hours=12.0, unpriced_gpu_hours=12.0)
    page = invoice_html(answer(line("5.00"), unpriced, unpriced_gpu_hours=12.0))
    assert "12.0 GPU-hours on it have no price and are not billed" in page
    assert page.count(">no price<") == 1


def test_the_day_of_issue_is_that_of_the_zone() -> None:
    """Shortly before midnight in UTC is the next day in Berlin."""
    page = invoice_html(answer(line("5.00"), issued_at="2026-11-01T23:30:00Z"))
    assert "<dd>2026-11-02</dd>" in page
    assert "<dd>Europe/Berlin</dd>" in page


def test_a_long_invoice_has_pages_with_heads_and_numbers() -> None:
    """Each page but the first names the document, and all are numbered; nothing in a name is markup or is fetched."""
    rows = [line("1.00", project=f"project {number % 7}", model=f"GPU {number}") for number in range(120)]
    name = '<img src="http://127.0.0.1/x.png">'
    text = pdf_text(invoice_pdf(answer(*rows, team=name)))
    pages = text.rstrip("\f").split("\f")
    assert len(pages) > 2
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert ("Invoice 7 to" in page) == (number > 1)
    assert "127.0.0.1" in pages[0]


def test_a_pdf_holds_no_date_and_no_identity_but_its_own() -> None:
    """Printed twice, and from another process, it is the same file."""
    code = (
        "import sys; from tests.analytics.test_invoices import WHOLE; from analytics.invoice_pdf import invoice_pdf;"
        "sys.stdout.buffer.write(invoice_pdf(WHOLE))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True)
    assert other.stdout == invoice_pdf(WHOLE)
    facts = subprocess.run(
        ["pdfinfo", "-isodates", "-"],
        input=other.stdout,
        capture_output=True,
        check=True,
        env={"TZ": "UTC", "PATH": os.environ["PATH"]},
    )
    dates = re.findall(rb"(?:Creation|Mod)Date: +([^Z+\n]+)", facts.stdout)
    assert dates == [b"2026-11-02T08:00:00"] * 2


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library's loader says is followed by the packages to install."""

    def refuse(name: str, *rest: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': cannot open shared object file")
        return imported(name, *rest)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match="libpango") as caught:
        invoice_pdf(WHOLE)
    assert "apt-get install libpango-1.0-0" in caught.value.hint


def pdf_text(data: bytes) -> str:
    """Return the text of a PDF, pages ended by form feeds."""
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=data, capture_output=True, check=True)
    return done.stdout.decode()
