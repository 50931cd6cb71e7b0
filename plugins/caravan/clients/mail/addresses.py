"""Addresses as they are compared and sent to. Nothing is asked of DNS."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from email_validator import EmailNotValidError, EmailSyntaxError, validate_email

_ROLES = frozenset(
    (
        *("abuse", "admin", "administrator", "all", "billing", "everyone", "hostmaster", "info", "list"),
        *(
            "mailer-daemon",
            "marketing",
            "noc",
            "no-reply",
            "noreply",
            "postmaster",
            "root",
            "sales",
            "security",
            "spam",
        ),
        *("support", "sysadmin", "team", "undisclosed-recipients", "unsubscribe", "usenet", "uucp", "webmaster", "www"),
    )
)
"""RFC 2142, and what stands for nobody in particular: who reads there has not subscribed."""
_LONGEST = 998


@dataclass(frozen=True)
class Address:
    """`text`: the local part as it was written, for case may count there, and the domain in lower case and ASCII
    (IDNA 2008). `needs_utf8`: the local part has other characters, which only a server with SMTPUTF8 takes."""

    text: str = field(repr=False)
    domain: str
    is_role: bool = False
    needs_utf8: bool = False


@dataclass(frozen=True)
class Invalid:
    """`reason`: in words, without the address."""

    reason: str


def normalised(address: str) -> Address | Invalid:
    if len(address) > _LONGEST:
        return Invalid("the address is too long")
    if has_control(address.strip(" ")):
        return Invalid("the address has a line break or a control character")
    try:
        found = validate_email(address.strip(), check_deliverability=False, strict=True)
    except EmailSyntaxError as error:
        return Invalid(_without_text(str(error)))
    except EmailNotValidError:
        return Invalid("the address is not valid")
    domain = found.ascii_domain.lower()
    local = found.local_part
    role = local.partition("+")[0].lower()
    return Address(f"{local}@{domain}", domain, role in _ROLES, not local.isascii())


def has_control(text: str) -> bool:
    """Line breaks of any script, control characters, halves of characters: they end a header, or cannot be sent."""
    return any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text)


def fits_header(text: str) -> bool:
    """Neither of several lines nor with `=?`, which begins an encoded word (RFC 2047): decoded, it may be two lines."""
    return not has_control(text) and "=?" not in text


def _without_text(message: str) -> str:
    """What the library says up to where it may quote the address."""
    return message.partition(":")[0].rstrip(". ")
