"""Texts by their measures: sizes, hashes, languages, prices, placeholders."""

from __future__ import annotations

from decimal import Decimal

import pytest
from extract_case import page, read, rows

from caravan.clients.crawl.placeholders import is_key, templates_in
from caravan.clients.crawl.prices import availability_in, prices_in
from caravan.clients.crawl.text import language_of, read_prose, read_text, title_language_of
from caravan.clients.crawl.titles import pixels_of
from caravan.core.urls import key_of

ENGLISH = (
    "The shoes of this shop are made by hand in a small village near the sea, where people have worked leather for "
    "many years and still do. Each pair takes two days, and nobody hurries: what is done well lasts longer."
)
GERMAN = (
    "Die Schuhe dieses Ladens werden von Hand in einem kleinen Dorf am Meer gemacht, wo die Menschen seit vielen "
    "Jahren mit Leder arbeiten und es noch immer tun. Jedes Paar braucht zwei Tage, und niemand hat es dabei eilig."
)
KRONER = ("SEK", "NOK", "DKK", "ISK")
JAPANESE = (
    "この店の靴は、海の近くの小さな村で手作りされています。人々は長年にわたり革を扱ってきました。一足に二日かかります。"
    * 4
)


@pytest.mark.parametrize(
    ("body", "word_count", "character_count", "said"),
    [
        ("<p>One <b>t</b>wo</p><p>three</p>", 3, 11, "one two three"),
        ("<nav>Home</nav><header>Top</header><p>Text</p><footer>End</footer><aside>Ad</aside>", 1, 4, "text"),
        ("<main><header>Top</header>Text</main><footer>End</footer>", 2, 7, "top text"),
        ("<nav>Home <b>Shop</b></nav>", 2, 8, "home shop"),
        ("<p>A<script>x</script><style>y</style><noscript>z</noscript><template>q</template><!--c-->B", 1, 2, "ab"),
        ("<select><option>Germany</select>Text<svg><text>q</text></svg><br>\u00a0 more", 2, 8, "text more"),
        ("靴 と革", None, 3, "靴 と革"),
        ("서울 신발", 2, 4, "서울 신발"),
        ("", 0, 0, None),
    ],
)
def test_main_text(body, word_count, character_count, said):
    found = page(read(f"<body>{body}</body>"))
    assert (found["word_count"], found["character_count"]) == (word_count, character_count)
    assert found["text_hash"] == (None if said is None else key_of(said))
    assert (found["simhash"] is None) == (said is None)


@pytest.mark.parametrize(
    ("blocks", "words", "sentences", "long_words"),
    [
        (["One two. Three! Four?"], 4, 3, 0),
        (["no end"], 0, 0, 0),
        (["v1.2 is out…", "Really"], 3, 1, 0),
        (["Measures of reading are", "Reading (measures.)", "He said “measure it.”"], 6, 2, 3),
        (["collation", "definitions", "One."], 1, 1, 0),
        (["अच्छा है।"], 2, 1, 0),
        ([], 0, 0, 0),
        (["word is. " * 20_000], 14_564, 7_281, 0),  # 65,536 characters of it
    ],
)
def test_measures_of_readability(blocks, words, sentences, long_words):
    assert read_prose([" ".join(block.split()) for block in blocks]) == (words, sentences, long_words)


def test_only_texts_with_spaces_have_prose():
    names = ("prose_word_count", "sentence_count", "long_word_count")
    assert [page(read("<td>Collation</td><p>It is long.</p>"))[name] for name in names] == [3, 1, 0]
    assert [page(read("<p>この店の靴は手作りです。</p>"))[name] for name in names] == [None] * 3
    assert [page(read("<p>"))[name] for name in names] == [0, 0, 0]


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        (ENGLISH * 5, ENGLISH * 5, 0, 0),
        (ENGLISH * 5, ENGLISH.upper() * 5, 0, 0),
        (ENGLISH * 5, ENGLISH * 5 + " New: blue.", 0, 3),
        (JAPANESE, JAPANESE + "青。", 0, 3),
        (ENGLISH, GERMAN, 16, 48),
        ("one two three", "three two one", 8, 56),
    ],
)
def test_near_texts_have_near_hashes(one, other, least, most):
    hashes = [read_text(text).simhash for text in (one, other)]
    one, other = (each & 0xFFFF_FFFF_FFFF_FFFF for each in hashes)
    assert least <= (one ^ other).bit_count() <= most


def test_hashes_stay_what_they_are():
    """They are compared with those of other nights: another value is another VERSION of the extractor."""
    assert read_text("one two three four").simhash == 4629718631910346773
    assert read_text("x").simhash is not None


def test_a_text_of_megabytes_is_hashed_by_its_begin():
    text = "word " * 400_000
    assert read_text(text.strip()).word_count == 400_000
    assert read_text("x" * 300_000).simhash is not None
    assert read_text("x" * 65_535 + " y").word_count == 2


@pytest.mark.parametrize(
    ("text", "declared", "language"),
    [(ENGLISH, "en", "en"), (ENGLISH, "de", "en"), (GERMAN, "de-CH", "de"), (GERMAN, None, "de"),
     (JAPANESE, "ja", "ja"),
     ("Too short to tell.", "en", None)],
)  # fmt: skip
def test_languages(text, declared, language):
    assert language_of(text, declared) == language


def test_words_after_a_menu_tell_what_it_leaves_open():
    menu = "Home Shop Sale Blog Login Newsletter Service Support Download Warenkorb Kontakt Impressum Team Jobs Presse "
    menu += "Partner Media Events Store Outlet Trends Fashion Sneaker Jeans Shirts Sweater Jacket Accessoires Details "
    assert (language_of(menu), language_of(menu + GERMAN)) == (None, "de")


def test_numbers_are_in_no_language():
    listed = "".join(f"x{number}" for number in range(300))
    assert (language_of(listed), language_of(listed, "en"), title_language_of(listed)) == (None, None, None)


def test_languages_of_titles():
    assert title_language_of("Handgemachte Schuhe aus Leder für Damen und Herren") == "de"
    assert title_language_of("Schuhe") is None


def test_passages_are_blocks_of_twenty_characters():
    found = rows(
        read("<p>Short</p><p>Handmade in a <b>village</b> by the sea</p><li>Handmade  in a village BY the sea"),
        "passage",
    )
    assert [row["text_hash"] for row in found] == [key_of("handmade in a village by the sea")] * 2
    assert [row["character_count"] for row in found] == [32, 32]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("19,99 €", [("19,99 €", "19.99", ("EUR",))]),
        ("€ 1.234,56 statt €1,234.56", [("€ 1.234,56", "1234.56", ("EUR",)), ("€1,234.56", "1234.56", ("EUR",))]),
        ("EUR 1.234 or 1 234,50 EUR", [("EUR 1.234", "1234", ("EUR",)), ("1 234,50 EUR", "1234.50", ("EUR",))]),
        ("CHF 1'234.50", [("CHF 1'234.50", "1234.50", ("CHF",))]),
        ("Only US$5.00!", [("US$5.00", "5.00", ("USD",))]),
        ("£.99 £0.99", [("£0.99", "0.99", ("GBP",))]),
        ("12,345円 ¥12,345", [("12,345円", "12345", ("JPY",)), ("¥12,345", "12345", ("JPY", "CNY"))]),
        ("KWD 1.250", [("KWD 1.250", "1.250", ("KWD",))]),
        ("199,- kr 5 kr", [("199,- kr", "199", KRONER), ("5 kr", "5", KRONER)]),
        ("49,90 zł", [("49,90 zł", "49.90", ("PLN",))]),
        ("1.299.000 ₫", [("1.299.000 ₫", "1299000", ("VND",))]),
        ("₹1,23,456", [("₹1,23,456", "123456", ("INR",))]),
        ("INR 12,34,567.50", [("INR 12,34,567.50", "1234567.50", ("INR",))]),
        ("₹1,2,3 €1,23,4", []),
        ("007 $ in EURO 5 or 5 Euros, page 3, 24/7, 1.2.3, A4, 5 krone, top-10 USDT", []),
        ("call 030 123 456", []),
    ],
)  # fmt: skip
def test_prices(words, expected):
    found = [(each.written, each.amount, each.currencies) for each in prices_in(words)]
    codes = [(written, amount, codes) for written, amount, codes in found]
    assert codes == [(written, Decimal(amount), codes) for written, amount, codes in expected]


def test_the_first_twenty_prices_of_a_page():
    assert len(prices_in(" ".join(f"{at}.50 EUR," for at in range(10, 60)))) == 20


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("not in stock. also in stock", "en-GB", {"out_of_stock": 1, "in_stock": 1}),
        ("nicht auf lager", "de", {"out_of_stock": 1}),
        ("auf lager", "en", {}),
        ("在庫あり", "ja", {"in_stock": 1}),
        ("in stock", None, {}),
    ],
)
def test_availability(words, language, expected):
    assert availability_in(words, language) == expected


@pytest.mark.parametrize(
    ("words", "found"),
    [("{{name}} {{ a.b | upper }}", ["{{name}}", "{{ a.b | upper }}"]), ("{% if x %}", ["{% if x %}"]),
     ("%{count} #{x} %(n)s", ["%{count}", "#{x}", "%(n)s"]), ("<%= a.b %>", ["<%= a.b %>"]),
     ("[object Object]", ["[object Object]"]), ("translation missing: de.cart", ["ranslation missing: de.cart"]),
     ('Sizes ("%s"): %d left', ["%s", "%d"]), ("puts(name) '%s'", ["%s"]),
     ("printf(\"%d', x) f('a: {{ b }}') echo(“${x}”)", []),
     ("[[ -f x ]] {} { a } {{}} % s 50%discount [1] [[]]", [])],
)  # fmt: skip
def test_templates(words, found):
    assert sorted(templates_in(words)) == sorted(found)


@pytest.mark.parametrize(
    ("block", "expected"),
    [("product.title.label", True), ("cart.add_to_cart", True), ("a.b", False), ("www.shop.test.de", False),
     ("archive.tar.gz", False), ("Product.title.label", False), ("e.g.", False), ("v1.2.3", False),
     ("builds.sr.ht", False)],
)  # fmt: skip
def test_keys(block, expected):
    assert is_key(block) is expected


@pytest.mark.parametrize(
    ("title", "pixels"), [("", 0), ("iiii", 18), ("WWWW", 76), ("é", 11), ("靴", 20), ("Ab c", 40)]
)
def test_widths_of_titles(title, pixels):
    assert pixels_of(title) == pixels
