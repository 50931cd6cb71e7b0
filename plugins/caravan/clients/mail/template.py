"""Templates in two steps: filled with a release and compiled once, then filled for each recipient, which is cheap."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import css_inline
import mjml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from markupsafe import Markup

from caravan.clients.mail.addresses import Invalid, fits_header, normalised
from caravan.clients.mail.words import Words, read_words, words_for
from caravan.core.errors import Fault, Misconfigured, Rejected
from caravan.core.release import Content

UNSUBSCRIBE_URL = "unsubscribe_url"
"""The one variable that every mail has by itself."""
_BODY = "caravan-puts-the-body-here"
_WEB = re.compile(r"https?://[^\s]+", re.IGNORECASE)


@dataclass(frozen=True)
class Sender:
    """`postal_address`: in one line; many laws ask for it. Raises Misconfigured for what fits no header."""

    address: str
    name: str
    postal_address: str
    reply_to: str | None = None

    def __post_init__(self) -> None:
        wrong = [
            Fault("sender of mails", f"its {what} has to be one line of text")
            for what, text in (("name", self.name), ("postal address", self.postal_address))
            if not text.strip() or not fits_header(text)
        ]
        for what, text in (("address", self.address), ("address for replies", self.reply_to)):
            found = normalised(text) if text is not None else None
            if isinstance(found, Invalid):
                wrong.append(Fault("sender of mails", f"its {what}: {found.reason}"))
            elif found is not None and (found.needs_utf8 or found.text != text):
                wrong.append(Fault("sender of mails", f"its {what} has to be of ASCII, the domain in lower case"))
        if wrong:
            raise Misconfigured(wrong)


@dataclass(frozen=True)
class Compiled:
    """What is the same for all recipients; `{{ name }}` stands for what is not."""

    subject: str
    html: str
    text: str


class MailTemplate:
    """`folder`: with `<name>.mjml.j2`, `<name>.txt.j2` and words.yml; a template of a brand extends the base one."""

    def __init__(self, folder: Path, name: str = "base") -> None:
        self.words: Mapping[str, Words] = read_words(folder / "words.yml")
        self._html = _environment(folder, autoescape=True).get_template(f"{name}.mjml.j2")
        self._text = _environment(folder, autoescape=False).get_template(f"{name}.txt.j2")
        # Nothing is fetched, whatever the template links to; the rules for dark and for narrow screens stay.
        self._inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

    def compile(self, content: Content, sender: Sender, reason: str | None = None) -> Compiled:
        """`reason`: why somebody gets it, where its kind does not say that. Raises Rejected when the language has no
        words, or the template is no MJML."""
        words = words_for(content.locale, self.words)
        if words is None:
            raise Rejected("NO_WORDS", f"words.yml has no {content.locale}, and words to unsubscribe never fall back")
        is_notice = content.kind == "notice"
        values = {
            "content": content,
            "sender": sender,
            "words": words,
            "reason": reason or (words.notice if is_notice else words.subscribed).replace("{sender}", sender.name),
            "start": "right" if content.direction == "rtl" else "left",
            UNSUBSCRIBE_URL: "" if is_notice else f"{{{{ {UNSUBSCRIBE_URL} }}}}",
        }
        try:
            filled = self._html.render(**values, body=Markup(_BODY))
            # No fonts are linked to: that would tell the font's host who opens the mail.
            page = mjml.mjml2html(filled, disable_comments=False, fonts={})
            text = self._text.render(**values)
        except (TemplateError, ValueError) as error:
            raise Rejected("TEMPLATE_BROKEN", f"the mail of {content.release_id}: {error}") from None
        if page.count(_BODY) != 1:
            raise Rejected("TEMPLATE_BROKEN", "the template has to put the body in once")
        return Compiled(content.title, self._inliner.inline(page.replace(_BODY, content.html)), text)


class Merge:
    """Compiled mails, ready to be filled for one recipient after the other. Raises Rejected TEMPLATE_BROKEN.

    Only `{{ name }}` is known: whoever writes a release writes no program, and can be told before which names lack.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.variables: frozenset[str] = frozenset()
        self._subject = self._template(compiled.subject, "the subject", autoescape=False)
        self._html = self._template(compiled.html, "the HTML", autoescape=True)
        self._text = self._template(compiled.text, "the text", autoescape=False)

    def missing(self, known: frozenset[str]) -> list[str]:
        """Variables that not every recipient has, in words."""
        return [
            f"'{{{{ {name} }}}}' is not known of every recipient: "
            f"known are {', '.join(sorted(known)) or 'no variables at all'}"
            for name in sorted(self.variables - known)
        ]

    def fill(self, values: Mapping[str, Any]) -> Compiled:
        """Raises Rejected when a value lacks, is blank or is no address though its name ends in `_url`."""
        used = {name: str(values[name]) for name in self.variables if isinstance(values.get(name), str | int)}
        if lacking := sorted(name for name in self.variables if not used.get(name, "").strip()):
            raise Rejected("VARIABLE_MISSING", f"this recipient has no {', '.join(lacking)}")
        if wrong := sorted(name for name, value in used.items() if name.endswith("_url") and not _WEB.fullmatch(value)):
            raise Rejected("VARIABLE_UNFIT", f"{', '.join(wrong)} of this recipient is no http(s) address")
        return Compiled(self._subject.render(used), self._html.render(used), self._text.render(used))

    def _template(self, source: str, where: str, *, autoescape: bool) -> Template:
        environment = _MERGE_HTML if autoescape else _MERGE_TEXT
        try:
            tree = environment.parse(source)
        except TemplateSyntaxError as error:
            raise Rejected("TEMPLATE_BROKEN", f"{where}, line {error.lineno}: {error.message}") from None
        for node in _parts(tree):
            if not isinstance(node, nodes.TemplateData | nodes.Name):
                raise Rejected("TEMPLATE_BROKEN", f"{where}, line {node.lineno}: a mail knows only {{{{ name }}}}")
            if isinstance(node, nodes.Name):
                self.variables |= {node.name}
        return environment.from_string(source)


@lru_cache(maxsize=64)
def merge_of(subject: str, html: str, text: str) -> Merge:
    """The same for all mails of a release in one language."""
    return Merge(Compiled(subject, html, text))


def _parts(tree: nodes.Template) -> list[nodes.Node]:
    """What the outputs hold; a statement stands for itself."""
    return [
        part
        for node in tree.body
        for part in (node.nodes if isinstance(node, nodes.Output) else [node])
    ]  # fmt: skip


def _environment(folder: Path | None, **options: Any) -> Environment:
    loader = FileSystemLoader(folder) if folder else None
    return Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, **options)


_MERGE_HTML = _environment(None, autoescape=True)
_MERGE_TEXT = _environment(None, autoescape=False)
