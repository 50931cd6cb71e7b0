"""The shops of the demo: what they sell, to whom, at what price, on which clock."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

# Midnight is in, so that local dates matter; one to four is out, where clocks are set back and an hour is said twice.
_WAKING_HOURS = (0, 5, 7, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 23)


@dataclass(frozen=True)
class Product:
    """`price`: major units of the shop's currency."""

    sku: str
    name: str
    price: Decimal


@dataclass(frozen=True)
class Shop:
    """`zone`: the clock its files are written by. `countries`: where its buyers live, most of them in the first.

    `postage`: the line added to small orders. `voucher`: a line of negative price. `refunds`: goods come back as
    negative lines under a number of their own; otherwise an order is cancelled by its state.
    """

    code: str
    prefix: str
    zone: str
    currency: str
    products: tuple[Product, ...]
    orders_a_day: int
    countries: tuple[str, ...]
    postage: Product | None = None
    free_postage_from: Decimal = Decimal(0)
    voucher: Product | None = None
    refunds: bool = False
    discounts: bool = False
    hours: tuple[int, ...] = _WAKING_HOURS
    """Hours of `zone` at which people order, as often as they stand here."""


def _products(prefix: str, *named: tuple[str, str]) -> tuple[Product, ...]:
    return tuple(Product(f"{prefix}-{1001 + i}", name, Decimal(price)) for i, (name, price) in enumerate(named))


SHOPS: dict[str, Shop] = {
    shop.code: shop
    for shop in (
        Shop(
            "shop_de",
            "DE",
            "Europe/Berlin",
            "EUR",
            _products(
                "KU",
                ("Brotdose Edelstahl", "24.90"),
                ("Schneidebrett Eiche geölt", "39.95"),
                ("Küchenwaage Präzision", "29.99"),
                ("Weißweingläser, 6 Stück", "45.00"),
                ("Gußeiserner Bräter 5 l", "129.00"),
                ("Kräutermühle", "18.50"),
                ("Geschirrtücher Leinen, 3er-Set", "21.00"),
                ("Espressomaschine „Früh“", "1249.00"),
                ("Salatschüssel groß", "34.90"),
                ("Dörrautomat", "89.90"),
                ("Käsehobel", "12.95"),
                ("Messerblock fünfteilig", "219.00"),
            ),
            36,
            ("DE", "AT", "CH", "NL", "FR", "SE"),
            postage=Product("VERSAND", "Versandkosten", Decimal("4.95")),
            free_postage_from=Decimal(50),
            voucher=Product("GUTSCHEIN5", "Gutschein 5 €", Decimal("-5.00")),
        ),
        Shop(
            "shop_fr",
            "FR",
            "Europe/Paris",
            "EUR",
            _products(
                "MOB",
                ("Lampe à poser « Été »", "79.90"),
                ("Fauteuil velours côtelé", "449.00"),
                ("Canapé trois places « Forêt »", "1890.00"),
                ("Table basse chêne", "249.00"),
                ("Bougie fleur d'oranger", "19.50"),
                ("Rideau lin lavé", "59.00"),
                ("Miroir doré", "129.00"),
                ("Tapis berbère", "1150.00"),
                ("Vase grès émaillé", "38.00"),
                ("Étagère murale", "89.00"),
            ),
            30,
            ("FR",),
            postage=Product("LIVRAISON", "Frais de livraison", Decimal("6.90")),
            free_postage_from=Decimal(100),
            discounts=True,
        ),
        Shop(
            "shop_gb",
            "GB",
            "Europe/London",
            "GBP",
            _products(
                "TEA",
                ('Teapot "Brown Betty", 4 cup', "32.00"),
                ("Assam, loose leaf, 250 g", "11.50"),
                ("Earl Grey, 50 bags", "6.75"),
                ("Tea cosy, hand knitted", "18.00"),
                ("Bone china cup & saucer", "27.50"),
                ("Shortbread tin", "9.95"),
                ("Clotted cream fudge", "5.40"),
                ("Oak tea caddy", "44.00"),
                ("Scone mix", "4.25"),
                ("Hamper, Sunday afternoon", "85.00"),
            ),
            34,
            ("GB",),
            postage=Product("POST", "Postage & packing", Decimal("3.95")),
            free_postage_from=Decimal(40),
            discounts=True,
        ),
        Shop(
            "shop_us",
            "US",
            "UTC",
            "USD",
            _products(
                "OUT",
                ("Trail Tent 2P", "249.99"),
                ('Camp Skillet 10"', "34.95"),
                ("Insulated Bottle 32 oz", "39.00"),
                ("Down Sleeping Bag 20°F", "319.00"),
                ("Headlamp 400 lm", "44.50"),
                ("Merino Crew Socks", "21.99"),
                ("Bear Canister", "84.95"),
                ("Folding Stove", "59.90"),
                ("Trekking Poles, pair", "119.00"),
                ("Rain Shell", "189.00"),
                ("Trail Mix, 12 ct", "18.75"),
            ),
            38,
            ("US", "CA", "MX"),
            postage=Product("SHIPPING", "Shipping & handling", Decimal("7.95")),
            free_postage_from=Decimal(75),
            refunds=True,
            discounts=True,
            hours=(0, 0, 1, 1, 2, 3, 4, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 23),  # American days in UTC
        ),
        Shop(
            "marketplace_jp",
            "JP",
            "Asia/Tokyo",
            "JPY",
            _products(
                "文具",
                ("万年筆 細字", "9800"),
                ("和紙便箋セット", "1650"),
                ("墨汁 180ml", "780"),
                ("書道筆 中字", "2400"),
                ("手帳 2027年版", "3520"),
                ("桜柄マスキングテープ", "420"),
                ("木製ペンケース", "4800"),
                ("折り紙 300枚", "990"),
                ("消しゴム 5個入り", "550"),
                ("ノート 方眼 A5", "680"),
            ),
            34,
            ("JP",),
            postage=Product("送料", "送料", Decimal("550")),
            free_postage_from=Decimal(5000),
            refunds=True,
        ),
        Shop(
            "marketplace_cn",
            "26",
            "Asia/Shanghai",
            "CNY",
            _products(
                "SKU",
                ("龙井茶 明前特级 250克", "368.00"),
                ("紫砂壶 手工", "1280.00"),
                ("青花瓷茶杯 两只装", "128.00"),
                ("丝绸围巾 桑蚕丝", "299.00"),
                ("智能台灯", "189.90"),
                ("保温杯 500毫升", "79.90"),
                ("普洱茶饼 2018年", "458.00"),
                ("竹制茶盘", "168.00"),
                ("檀香扇", "66.60"),
                ("月饼礼盒", "218.00"),
                ("蓝牙耳机", "249.00"),
            ),
            40,
            ("CN",),
            voucher=Product("店铺优惠券", "店铺优惠券 满300减20", Decimal("-20.00")),
            discounts=True,
        ),
        Shop(
            "shop_br",
            "BR",
            "America/Sao_Paulo",
            "BRL",
            _products(
                "CAS",
                ("Rede de descanso algodão", "289.90"),
                ("Café torrado em grãos 1 kg", "74.50"),
                ("Panela de barro", "159.00"),
                ("Cuia e bomba para chimarrão", "118.00"),
                ("Violão acústico", "1299.90"),
                ("Chinelos verão", "49.90"),
                ("Açucareiro de cerâmica", "62.00"),
                ("Pão de queijo congelado 2 kg", "58.80"),
                ("Tapete de sisal", "349.00"),
                ("Luminária de chão", "419.00"),
            ),
            30,
            ("BR",),
            postage=Product("FRETE", "Frete", Decimal("24.90")),
            free_postage_from=Decimal(200),
        ),
        Shop(
            "partner_ae",
            "AE",
            "Asia/Dubai",
            "AED",
            _products(
                "GLF",
                ("عود كمبودي ١٢ غ", "420.00"),
                ("تمر مجدول ١ كغ", "68.00"),
                ("دلة قهوة نحاسية", "235.00"),
                ("بخور معطر", "55.00"),
                ("عطر ورد الطائف", "310.00"),
                ("زعفران ٥ غ", "95.50"),
                ("سجادة صلاة", "149.00"),
                ("فناجين قهوة، ستة", "120.00"),
                ("عسل سدر ٥٠٠ غ", "260.00"),
            ),
            24,
            ("AE", "SA", "OM"),
            postage=Product("DELIVERY", "توصيل", Decimal("15.00")),
            free_postage_from=Decimal(150),
            refunds=True,
        ),
    )
}
"""Those that deliver files."""

SERVICES: dict[str, Shop] = {
    shop.code: shop
    for shop in (
        Shop(
            "webshop_se",
            "",  # its orders are known by number
            "Europe/Stockholm",
            "SEK",
            _products(
                "HEM",
                ("Ljusstake mässing", "349.00"),
                ("Pläd lammull, grå", "799.00"),
                ("Kaffemugg stengods", "149.00"),
                ("Bricka björk, rund", "429.00"),
                ("Linneduk 150 × 250", "1195.00"),
                ("Doftljus granskog", "189.00"),
                ("Smörkniv enbär", "79.00"),
                ("Vedkorg av läder", "1490.00"),
                ("Korkunderlägg, 4 st", "99.00"),
                ("Väggklocka ek", "899.00"),
            ),
            30,
            ("SE",),
            postage=Product("FRAKT", "Frakt", Decimal("59.00")),
            free_postage_from=Decimal(500),
            discounts=True,
        ),
        Shop(
            "marketplace_au",
            "503-77",
            "Australia/Sydney",
            "AUD",
            _products(
                "SRF",
                ("Wetsuit 3/2 mm", "329.00"),
                ("Reef-safe sunscreen 200 ml", "24.95"),
                ("Beach shade, 3 m", "139.00"),
                ('Bodyboard 42"', "89.00"),
                ("Rash vest", "59.95"),
                ("Dry bag 20 l", "44.50"),
                ("Surf wax, 3 pack", "14.95"),
                ("Esky 30 l", "169.00"),
                ("Snorkel set", "74.90"),
                ("Hooded towel", "49.95"),
            ),
            30,
            ("AU",),
            postage=Product("shipping", "", Decimal("9.95")),
            free_postage_from=Decimal(60),
            discounts=True,
        ),
    )
}
"""Those that are asked over HTTP. Prices are without tax."""

TRADE: dict[str, Shop] = {
    shop.code: shop
    for shop in (
        Shop(
            "fair_de",
            "B",
            "Europe/Berlin",
            "EUR",
            _products(
                "KU",
                ("Brotdose Edelstahl", "22.00"),
                ("Schneidebrett Eiche geölt", "35.00"),
                ("Kräutermühle", "15.00"),
                ("Käsehobel", "10.00"),
                ("Geschirrtücher Leinen, 3er-Set", "18.00"),
                ("Küchenschürze, weiß", "25.00"),
            ),
            45,
            ("DE",),
            hours=(9, 10, 11, 12, 13, 14, 15, 16, 17, 18),
        ),
        Shop(
            "wholesale_gb",
            "W",
            "Europe/London",
            "GBP",
            _products(
                "TEA",
                ('Teapot "Brown Betty", 4 cup', "19.20"),
                ("Assam, loose leaf, 250 g", "6.90"),
                ("Earl Grey, 50 bags", "4.05"),
                ("Bone china cup & saucer", "16.50"),
                ("Shortbread tin", "5.95"),
                ("Oak tea caddy", "26.40"),
            ),
            7,
            ("GB",),
            postage=Product("CARRIAGE", "Carriage", Decimal("18.00")),
            free_postage_from=Decimal(60),
            discounts=True,
            hours=(8, 9, 10, 11, 12, 13, 14, 15, 16, 17),
        ),
        Shop(
            "import_cn",
            "PT",
            "Asia/Shanghai",
            "CNY",
            _products(
                "HS",
                ("橄榄油 1升", "168.00"),
                ("黑巧克力 100克", "36.00"),
                ("咖啡豆 500克", "129.00"),
                ("水晶酒杯 两只装", "399.00"),
                ("儿童积木", "258.00"),
                ("护手霜 75毫升", "69.00"),
            ),
            8,
            ("CN",),
            postage=Product("DUTY", "进口税", Decimal("29.00")),
            free_postage_from=Decimal(1_000_000),
        ),
    )
}
"""A fair, business customers, imports: files, too."""

CATALOGUE = SHOPS | SERVICES | TRADE
