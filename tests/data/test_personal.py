import pytest

from roadworthy.data.personal import find


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ada.lovelace@analytical.uk", "an e-mail address"),
        ("<td>ada+x@mail.analytical.co.uk</td>", "an e-mail address"),
        ("4539 1488 0343 6467", "a card number"),
        ("card 4539148803436467", "a card number"),
        ("DE89 3704 0044 0532 0130 00", "an IBAN"),
        ("GB29NWBK60161331926819", "an IBAN"),
        ("ssn 536-90-4399", "a social security number"),
        ("+49 30 9018 2011", "a phone number"),
        ("(212) 664-7665", "a phone number"),
    ],
)
def test_personal_data_is_found_and_masked(text: str, kind: str) -> None:
    (found,) = find(text)
    assert found.kind == kind
    assert text[found.start : found.end] not in found.shown


@pytest.mark.parametrize(
    "text",
    [
        "someone@example.com",
        "git@github.com:org/repo.git",
        "https://user@host.com/x",
        "noreply@analytical.uk",
        "icon@2x.png",
        "4539 1488 0343 6468",  # Luhn's sum is wrong
        "0000 0000 0000 0000",
        "DE89 3704 0044 0532 0130 01",  # ISO 7064's is
        "000-12-3456",
        "123-45-6789",
        "2013-01-01 12:30:45",
        "0.1234567890123456789",
        "1234567890123",
        "+1.234 -2.345 +3.456",
        "[1 2 3 4 5 6 7 8 9 10 11 12]",
        "AB12CDEFGHIJKLMNOP",
        "3.14 2.72 1.41 1.73 2.23",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert list(find(text)) == []
