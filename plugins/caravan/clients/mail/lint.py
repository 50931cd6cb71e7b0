"""What is wrong with a mail before anybody gets it, in words for whoever wrote the release."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

from caravan.clients.mail.addresses import fits_header
from caravan.clients.mail.template import UNSUBSCRIBE_URL, Compiled
from caravan.core.release import Kind

MOST_HTML_BYTES = 102 * 1024
"""Gmail shows no more of a mail, and hides the link to unsubscribe with the rest (widely observed; not in its docs)."""
_LEFT_OVER = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}|\$\{\w+\}|\*\|\w+\|\*|%%\w+%%")
"""Of our own templates and of other mailers', from which texts are copied."""
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_NOT_SHOWN = ("script", "iframe", "object", "embed", "form", "input", "link", "base", "video", "audio")


def faults(compiled: Compiled, kind: Kind) -> list[str]:
    """Of what is the same for all recipients. A notice needs no link to unsubscribe, everything else does."""
    found = []
    size = len(compiled.html.encode())
    if size > MOST_HTML_BYTES:
        found.append(f"the mail's HTML has {size // 1024} KB: more than {MOST_HTML_BYTES // 1024} KB is cut by Gmail")
    if not compiled.subject.strip():
        found.append("the mail has no subject")
    if not fits_header(compiled.subject):
        found.append("the mail's subject has a line break, a control character or '=?', which no subject can have")
    if not compiled.text.strip():
        found.append("the mail has no text for those who read no HTML")
    page = _Page()
    page.feed(compiled.html)
    page.close()
    found += page.faults
    if kind != "notice":
        link = f"{{{{ {UNSUBSCRIBE_URL} }}}}"
        if not any(_is_variable(address, UNSUBSCRIBE_URL) for address in page.links):
            found.append(f"the mail's HTML has no link to unsubscribe ({link})")
        if UNSUBSCRIBE_URL not in _VARIABLE.findall(compiled.text):
            found.append(f"the mail's text has no link to unsubscribe ({link})")
    for where, text in (("subject", compiled.subject), ("HTML", page.words), ("text", compiled.text)):
        if rest := _LEFT_OVER.search(_VARIABLE.sub("", text)):
            found.append(f"the mail's {where} has {rest.group()!r}, which nothing fills")
    return found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.faults: list[str] = []
        self.words = ""
        self._in_style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._in_style = tag == "style"
        if tag in _NOT_SHOWN:
            self._add(f"<{tag}> is shown by no mail program, or thrown away")
        if events := sorted(name for name in given if name.startswith("on")):
            self._add(f"'{events[0]}' of <{tag}> is a script: mail programs run none")
        if tag == "img":
            if "alt" not in given:
                self._add(f"the image {given.get('src', '')!r} has no alt text")
            self._require_web(
                given.get("src", ""), "image", "; mails show those of a site's page: add an outlet of kind site"
            )
        if tag in ("a", "area") and "href" in given:
            self.links.append(given["href"])
            if not given["href"].startswith(("mailto:", "tel:")):
                self._require_web(given["href"], "link")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words += data + " "

    def _require_web(self, address: str, what: str, hint: str = "") -> None:
        if (variable := _VARIABLE.fullmatch(address.strip())) and variable.group(1).endswith("_url"):
            return
        if _VARIABLE.search(address):
            # A value is escaped for HTML, not for an address: it could lead elsewhere.
            self._add(f"the {what} {address!r} holds a variable: one whose name ends in _url can be the whole of it")
            return
        try:
            parts = urlsplit(address)
            is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_web = False
        if not is_web:
            self._add(f"the {what} {address!r} is no http(s) address{hint}")

    def _add(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


def _is_variable(address: str, name: str) -> bool:
    found = _VARIABLE.fullmatch(address.strip())
    return found is not None and found.group(1) == name
