"""Numbers of documents as they are compared: one number, however it is written.

A lender that asks whether an invoice is pledged must not be misled by a full-width digit, a dash of
another length or a letter that looks like another. So a number is brought to a normal form: signs
of compatibility are taken apart (NFKD: full-width, superscript, circled and Roman forms, ligatures,
accents), letters of Cyrillic and Greek that look like Latin ones become these, digits of any script
become 0 to 9, Latin letters capitals, and whatever is neither letter nor digit goes, the words
around a Chinese number too. The tables are those of Unicode 3.2, which every version of Python has
in the same form; what is younger stays as it is.

A looser form is for what is similar: without zeros in front, and without the code of ten or twelve
digits that old paper invoices have before their number of eight.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNICODE: Final = unicodedata.ucd_3_2_0
_WORDS = dict.fromkeys(map(ord, "\u2116\u7b2c\u53f7\u865f"))  # "No." in one sign, and Chinese ones
_FILLERS = dict.fromkeys((0x115F, 0x1160))  # letters of Hangul that show nothing
_LOOKALIKES = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u04ae"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd",
    "ABEKMHOPCTXIJSYAEOPCYXIJSABEZHIKMNOPTYXOV",
)
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_INVOICE_DIGITS = 8
_WITH_CODE = (18, 20)  # how many digits code and number have together


def normalise_number(document_no: str) -> str:
    """Return the number as it is compared: letters and digits, of one form each."""
    apart = _UNICODE.normalize("NFKD", document_no.translate(_WORDS))
    apart = apart.translate(_WORDS).translate(_FILLERS).translate(_LOOKALIKES)
    kept = (_normalise_sign(sign) for sign in apart)
    return "".join(kept)


def _normalise_sign(sign: str) -> str:
    if "a" <= sign <= "z":
        return sign.upper()
    if sign.isascii():
        return sign if sign.isalnum() else ""
    category = _UNICODE.category(sign)
    if category == "Nd":
        return str(_UNICODE.digit(sign))
    # What Unicode 3.2 does not know may be a letter since.
    return sign if category[0] in "LN" or category == "Cn" else ""


def loosen_number(number: str, *, is_claim: bool) -> str:
    """Return what is left of a normal number without leading zeros or an invoice's code."""
    if is_claim and number.isascii() and number.isdigit() and len(number) in _WITH_CODE:
        number = number[-_INVOICE_DIGITS:]
    return _ZEROS.sub("", number)
