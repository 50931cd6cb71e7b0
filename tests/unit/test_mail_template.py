"""A release becomes a mail once, and each recipient's mail of that; what is wrong is said before."""

from __future__ import annotations

import re

import pytest
from mail_case import FOLDER, LINKS, RECIPIENT, SENDER, content, mailing

from caravan.clients.mail import lint
from caravan.clients.mail.template import Compiled, MailTemplate, Merge
from caravan.clients.mail.words import read_words, words_for
from caravan.core.errors import Misconfigured, Rejected

URL = LINKS.address
ALL = {**RECIPIENT, "unsubscribe_url": f"{URL}/t"}


def compiled(**changes):
    return MailTemplate(FOLDER).compile(content(**changes), SENDER)


def test_a_mail_has_what_the_release_says_and_what_the_law_asks_for():
    mail = compiled()
    assert mail.subject == "Frühling für {{ first_name }}"
    assert '<html lang="de-DE" dir="ltr"' in mail.html
    assert mail.html.count('href="{{ unsubscribe_url }}"') == 1
    assert '<a href="https://shop.example/a?b=1&amp;c=2" style="color: #0b57d0;">hier</a>' in mail.html
    assert "Neu &amp; gut" in mail.html, "what a mailbox shows beside the subject"
    assert "<li>eins</li>" in mail.html, "HTML that is no XML does not break MJML"
    assert "Shop Ö<br>Hauptstr. 1, 10115 Berlin" in mail.html
    assert "Auf unserer Website lesen" in mail.html
    assert mail.text == (
        "Frühling für {{ first_name }}\n\nHallo {{ first_name }},\nneu: https://shop.example/a?b=1&c=2\n\n-- \n"
        "Auf unserer Website lesen: https://shop.example/news/spring\n"
        "Sie erhalten diese E-Mail, weil Sie Neuigkeiten von Shop Ö abonniert haben.\n"
        "Abbestellen: {{ unsubscribe_url }}\nShop Ö, Hauptstr. 1, 10115 Berlin\n"
    )


def test_styles_are_inlined_but_for_those_of_dark_and_narrow_screens():
    html = compiled(html="<h2>x</h2>").html
    assert "prefers-color-scheme: dark" in html
    assert "min-width:480px" in html
    assert re.search(r'<h2 style="[^"]*font-size: 20px', html)
    assert 'name="color-scheme" content="light dark"' in html


def test_nothing_is_fetched_from_others_when_a_mail_is_opened():
    assert re.findall(r"(?:src|url\(|@import|<link)[^>]*", compiled().html) == []


def test_a_script_that_runs_from_right_to_left():
    html = compiled(locale="ar-AE", direction="rtl").html
    assert '<html lang="ar-AE" dir="rtl"' in html
    assert "text-align:right" in html
    assert "direction: rtl" in html
    assert ">إلغاء الاشتراك</a>" in html


def test_a_notice_has_no_link_to_unsubscribe_and_says_why_it_comes():
    mail = compiled(kind="notice")
    assert "unsubscribe_url" not in mail.html + mail.text
    assert "Dies ist eine Mitteilung zu Ihrem Vertrag mit Shop Ö." in mail.text


@pytest.mark.parametrize(
    ("locale", "word"),
    [("en-GB", "Unsubscribe"), ("zh-Hans-CN", "退订"), ("pt-BR", "Cancelar inscrição"),
     ("ja-JP", "配信停止"), ("fr", "Se désabonner")],
)  # fmt: skip
def test_words_of_a_language_are_those_of_its_parent(locale, word):
    found = words_for(locale, read_words(FOLDER / "words.yml"))
    assert found is not None
    assert found.unsubscribe == word


def test_words_to_unsubscribe_never_fall_back_to_another_language(tmp_path):
    with pytest.raises(Rejected, match="NO_WORDS"):
        compiled(locale="fi-FI")
    (tmp_path / "words.yml").write_text("en: {unsubscribe: Go}\n")
    with pytest.raises(Misconfigured, match="en"):
        read_words(tmp_path / "words.yml")


def test_every_language_of_the_markets_has_words():
    from caravan import INCLUDE_DIR
    from caravan.config.loader import load

    words = read_words(FOLDER / "words.yml")
    config = load(INCLUDE_DIR / "config")
    locales = {tag for market in config.markets.values() for rule in market.language.root for tag in rule.languages}
    assert len(locales) > 8
    assert [locale for locale in sorted(locales) if words_for(locale, words) is None] == []


def test_what_a_recipient_is_called_cannot_be_markup():
    name = '<script>alert("x")</script>'
    mail = Merge(compiled()).fill({**ALL, "first_name": name})
    assert mail.subject == f"Frühling für {name}", "a subject and a text are plain"
    assert f"Hallo {name}," in mail.text
    assert "<script" not in mail.html
    assert "Hallo &lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;,<br>" in mail.html


def test_a_recipient_without_a_value_gets_no_mail_with_a_hole():
    merge = Merge(compiled())
    for values in ({}, {"first_name": ""}, {"first_name": " "}, {"first_name": None}, {"first_name": ["x"]}):
        with pytest.raises(Rejected, match="VARIABLE_MISSING: this recipient has no first_name"):
            merge.fill({"unsubscribe_url": f"{URL}/t", **values})
    with pytest.raises(Rejected, match="VARIABLE_UNFIT: unsubscribe_url"):
        merge.fill({**ALL, "unsubscribe_url": "javascript:alert(1)"})


@pytest.mark.parametrize(
    "body",
    [
        "{{ 7 * 7 }}",
        "{{ x.__class__ }}",
        "{{ x | safe }}",
        "{% for a in b %}{% endfor %}",
        "{{ f() }}",
        "{% raw",
        "{{ x",
    ],
)
def test_who_writes_a_release_writes_no_program(body):
    with pytest.raises(Rejected, match="TEMPLATE_BROKEN"):
        Merge(compiled(html=f"<p>{body}</p>"))
    payload = mailing().render(content(html=f"<p>{body}</p>"))
    assert [text for text in mailing().check(payload) if "the HTML, line" in text] != []


def test_the_body_is_put_in_by_every_template(tmp_path):
    for name in ("words.yml", "base.txt.j2", "base.mjml.j2"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "brand.mjml.j2").write_text('{% extends "base.mjml.j2" %}{% block body %}{% endblock %}')
    (tmp_path / "brand.txt.j2").write_text('{% extends "base.txt.j2" %}{% block title %}NEWS{% endblock %}')
    with pytest.raises(Rejected, match="has to put the body in once"):
        MailTemplate(tmp_path, "brand").compile(content(), SENDER)
    (tmp_path / "brand.mjml.j2").write_text('{% extends "base.mjml.j2" %}{% block title %}NEWS{% endblock %}')
    mail = MailTemplate(tmp_path, "brand").compile(content(), SENDER)
    assert "<title>NEWS</title>" in mail.html
    assert mail.text.startswith("NEWS\n")
    (tmp_path / "brand.mjml.j2").write_text("<mjml><mj-body>{{ nobody_knows }}</mj-body></mjml>")
    with pytest.raises(Rejected, match="nobody_knows"):
        MailTemplate(tmp_path, "brand").compile(content(), SENDER)


def test_a_good_mail_has_no_faults():
    assert mailing().check(mailing().render(content())) == []
    assert mailing(links=None).check(mailing().render(content(kind="notice"))) == []


def test_a_variable_that_not_every_recipient_has_is_a_fault_before_anything_is_planned():
    payload = mailing().render(content(html="<p>{{ city }}</p>"))
    assert mailing().check(payload) == [
        "'{{ city }}' is not known of every recipient: known are first_name, unsubscribe_url"
    ]
    assert "no address is set where people unsubscribe" in mailing(links=None).check(payload)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"html": "<p>x</p>" * 20_000}, "more than 102 KB is cut by Gmail"),
        ({"html": '<img src="https://shop.example/a.png">'}, "the image 'https://shop.example/a.png' has no alt text"),
        ({"html": '<img src="cid:a" alt="a">'}, "the image 'cid:a' is no http(s) address"),
        ({"html": '<a href="ftp://shop.example/">x</a>'}, "the link 'ftp://shop.example/' is no http(s) address"),
        ({"html": '<a href="javascript:x()">x</a>'}, "the link 'javascript:x()' is no http(s) address"),
        ({"html": '<a href="/relative">x</a>'}, "the link '/relative' is no http(s) address"),
        ({"html": '<a href="https://[x">x</a>'}, "the link 'https://[x' is no http(s) address"),
        ({"html": '<a href="https://{{ first_name }}/">x</a>'}, "can be the whole of it"),
        ({"html": '<a href="{{ first_name }}">x</a>'}, "can be the whole of it"),
        ({"html": "<form></form>"}, "<form> is shown by no mail program"),
        ({"html": '<p onclick="x()">x</p>'}, "'onclick' of <p> is a script"),
        ({"html": "<p>*|FNAME|*</p>"}, "the mail's HTML has '*|FNAME|*', which nothing fills"),
        ({"text": "Hallo %%name%%"}, "the mail's text has '%%name%%', which nothing fills"),
        ({"title": "Hallo ${name}"}, "the mail's subject has '${name}', which nothing fills"),
        ({"title": "a\nb"}, "the mail's subject has a line break"),
        ({"title": "=?utf-8?q?x?="}, "the mail's subject has a line break, a control character or '=?'"),
        ({"title": " "}, "the mail has no subject"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_mail_is_said(changes, fault):
    found = mailing().check(mailing().render(content(**changes)))
    assert [text for text in found if fault in text] != [], found


def test_a_mail_without_text_or_link_to_unsubscribe_is_faulty():
    bare = Compiled("s", "<p>x</p>", " ")
    assert lint.faults(bare, "news") == [
        "the mail has no text for those who read no HTML",
        "the mail's HTML has no link to unsubscribe ({{ unsubscribe_url }})",
        "the mail's text has no link to unsubscribe ({{ unsubscribe_url }})",
    ]
    assert lint.faults(bare, "notice") == ["the mail has no text for those who read no HTML"]
    assert lint.faults(Compiled("s", "<p>{{ unsubscribe_url }}</p>", "{{ unsubscribe_url }}"), "offer") == [
        "the mail's HTML has no link to unsubscribe ({{ unsubscribe_url }})"
    ]
