"""Currency codes: those of ISO 4217 in which a price can be stated."""

from __future__ import annotations

import difflib
from typing import Final

# List one as it stands in 2026, without metals, bond units, special drawing rights and the codes for tests and for no
# currency: nobody is billed in those.
_CURRENT: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF
CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
# Withdrawn since 2021: price books are dated, so an older entry may still be in one of them.
_WITHDRAWN: Final = "ANG BGN CUC HRK SLL ZWL"
_TRADED: Final = (
    "USD",
    "EUR",
    "JPY",
    "GBP",
    "CNY",
    "AUD",
    "CAD",
    "CHF",
    "SEK",
    "KRW",
    "NOK",
    "INR",
    "TWD",
    "BRL",
    "DKK",
)
# Those that ISO 4217 gives no minor unit: nobody can pay a hundredth of a yen.
_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
CODES: Final = frozenset(f"{_CURRENT} {_WITHDRAWN}".split())


def nearest(text: str) -> str | None:
    """Return the code that somebody who wrote `text` may have meant; None where none is near."""
    written = text.strip().upper()
    if written in CODES:
        return written
    for candidates in (_TRADED, sorted(CODES)):
        found = difflib.get_close_matches(written, candidates, n=1)
        if found:
            return found[0]
    return None


def smallest_cents(code: str) -> int:
    """Return the smallest amount that can be paid in a currency, in hundredths of its unit."""
    return 100 if code in _WHOLE.split() else 1
