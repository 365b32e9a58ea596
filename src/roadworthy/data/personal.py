"""Find personal data in text: e-mail addresses, phone numbers, cards, accounts, social security numbers.

In: text. Out: what was found, masked, and where. Called by notebooks/. What is reported passes the checks that the kind
has (Luhn's for cards, ISO 7064's for IBANs), so that long numbers are not taken for them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

TEXT_MAX = 200_000


class Personal(NamedTuple):
    """Personal data in a text: its kind, what is shown of it, and where it begins and ends."""

    kind: str
    shown: str
    start: int
    end: int


# All but the first begin with a class of characters and look behind after it, so that a search can leap to the next.
_EMAIL = re.compile(r"(?<![\w.@/:+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}(?![\w@-])")
_CARD = re.compile(
    r"\d(?<![\d.,-].)\d{3}(?:[ -](?:\d{4}[ -]){2}\d{1,7}(?![\d.,-])|(?<![A-Za-z_].{4})\d{11,12}(?![\w.,-]))"
)
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")
_SSN = re.compile(r"\d(?<![\w.-].)(?<!9)\d{2}(?<!000)(?<!666)-(?!00)\d{2}-(?!0000)\d{4}(?![\w.-])")
_PHONE = re.compile(
    r"[+(](?<![\w.+(-].)(?:(?<=\+)\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){2,4}|"
    r"(?<=\()\d{3}\) ?\d{3}-\d{4})(?![\w.-])"
)
_EXAMPLE_DOMAINS = re.compile(
    r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local|users\.noreply\.github\.com|"
    r"(?:your)?(?:company|domain|email)\.com|foo\.com|bar\.com|acme\.com|email\.com|mail\.com)$",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"^(?:no-?reply|info|support|contact|admin|help|team|sales|hello|git|user(?:name)?|name|you|your[._]?\w*|me|test\w*|"
    r"foo|bar|"
    r"someone|john\.?doe|jane\.?doe|email|mail|root|postmaster|webmaster)$",
    re.IGNORECASE,
)
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "svg", "gif", "py", "js", "css", "html", "json", "ipynb", "whl"})
_IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
    "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19,
    "SK": 24, "TR": 26, "AE": 23, "BR": 29, "IL": 23, "KW": 30, "QA": 29, "UA": 29,
}  # fmt: skip


def find(text: str) -> Iterator[Personal]:
    """Personal data in a text; of a long one, in its beginning.

    >>> [p.shown for p in find("write to ada.lovelace@analytical.uk")]
    ['a…@analytical.uk']
    """
    text = text[:TEXT_MAX]
    taken: list[tuple[int, int]] = []
    for kind, signs, pattern, shown in _KINDS:
        if not any(sign in text for sign in signs):  # most texts end here, at no cost
            continue
        for found in pattern.finditer(text):
            start, end = found.span()
            if any(start < e and s < end for s, e in taken):
                continue
            told = shown(found[0])
            if told:
                taken.append((start, end))
                yield Personal(kind, told, start, end)


def _email(text: str) -> str:
    name, _, domain = text.partition("@")
    ending = domain.rpartition(".")[2].lower()
    if _EXAMPLE_DOMAINS.search(domain) or _NOBODY.match(name) or ending in _FILE_ENDINGS:
        return ""
    return f"{name[0]}…@{domain}"


def _card(text: str) -> str:
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 4 or digits[0] not in {3, 4, 5, 6}:
        return ""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return f"{digits[0]}… {''.join(map(str, digits[-4:]))}" if total % 10 == 0 else ""


def _iban(text: str) -> str:
    plain = text.replace(" ", "")
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return ""
    number = "".join(str(int(c, 36)) for c in plain[4:] + plain[:4])
    return f"{plain[:4]}…{plain[-2:]}" if int(number) % 97 == 1 else ""


def _ssn(text: str) -> str:
    return "" if text in {"123-45-6789", "078-05-1120"} else f"***-**-{text[-4:]}"


def _phone(text: str) -> str:
    digits = [c for c in text if c.isdigit()]
    if not 9 <= len(digits) <= 15 or len(set(digits)) < 4:
        return ""
    return f"{text[:3]}…{text[-2:]}"


_DIGITS = "0123456789"
_KINDS = (
    ("an e-mail address", "@", _EMAIL, _email),
    ("an IBAN", _DIGITS, _IBAN, _iban),
    ("a card number", "345", _CARD, _card),
    ("a social security number", "-", _SSN, _ssn),
    ("a phone number", "+(", _PHONE, _phone),
)
