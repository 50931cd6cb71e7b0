-- What checks of markets and languages ask.

-- Pages that name alternates, in html, a header or a sitemap.
CREATE TEMP VIEW hreflang_page AS
SELECT ok_page.* FROM ok_page
SEMI JOIN hreflang ON ok_page.page_key = hreflang.page_key;

-- The pages of the graph of alternates.
CREATE TEMP VIEW clustered_page AS
SELECT indexable.* FROM indexable
SEMI JOIN alternate ON indexable.page_key = alternate.page_key;

-- Where its edges to other addresses lead: each page, target and code once, with what came of the target.
CREATE TEMP VIEW alternate_target AS
SELECT DISTINCT
    alternate.page_key,
    alternate.code,
    address.page_key AS target_key,
    address.url AS target_url,
    address.state AS target_state,
    address.standing AS target_standing,
    address.status_code AS target_status_code,
    address.reason AS target_reason,
    address.is_noindex AS target_is_noindex,
    address.canonical_key AS target_canonical_key,
    address.canonical_url AS target_canonical_url
FROM alternate
INNER JOIN address ON alternate.target_key = address.page_key
WHERE alternate.page_key <> alternate.target_key;

-- Pages that another one names as its alternate.
CREATE TEMP VIEW named_page AS
SELECT indexable.* FROM indexable
SEMI JOIN alternate ON indexable.page_key = alternate.target_key AND alternate.page_key <> indexable.page_key;

-- Pages that are named with a language, themselves included, and have enough text to tell it.
CREATE TEMP VIEW named_text AS
SELECT html_page.* FROM html_page
SEMI JOIN alternate ON html_page.page_key = alternate.target_key AND alternate.language IS NOT NULL
WHERE html_page.detected_language IS NOT NULL AND html_page.character_count >= 200;

-- The site's markets, each with where it begins. A crawl that got no answer says nothing of them.
CREATE TEMP TABLE configured_market AS
SELECT
    market_code,
    CAST(NULL AS BIGINT) AS page_key,
    COALESCE(MIN(home_url), MIN(COALESCE(host, '') || COALESCE(prefix, '')), market_code) AS url,
    ANY_VALUE(currency_code) AS currency_code,
    LIST(DISTINCT LOWER(locales[1])) AS main_locales
FROM market
WHERE EXISTS (SELECT 1 FROM asked_page)
GROUP BY market_code;

-- Markets with a page that can be found, in order.
CREATE TEMP TABLE market_in_search AS
SELECT
    configured_market.market_code,
    configured_market.main_locales
FROM configured_market
SEMI JOIN indexable ON configured_market.market_code = indexable.market_code;

-- Pages of the graph that belong to a configured market.
CREATE TEMP VIEW clustered_market_page AS
SELECT clustered_page.* FROM clustered_page
SEMI JOIN market_in_search ON clustered_page.market_code = market_in_search.market_code;

-- Redirects of pages that belong to a market.
CREATE TEMP VIEW market_redirect AS
SELECT redirect_page.* FROM redirect_page
SEMI JOIN configured_market ON redirect_page.market_code = configured_market.market_code;

-- The mark before the minor units of prices, of markets that know but one: where both are used nothing is odd.
CREATE TEMP TABLE market_mark AS
SELECT
    market_code,
    MIN(mark) AS decimal_mark
FROM (SELECT market_code, UNNEST(decimal_marks) AS mark FROM market)
GROUP BY market_code
HAVING MIN(mark) = MAX(mark);

-- Prices that pages of a market show. is_foreign: not in its currency, whichever of several the sign stands for.
-- is_odd: its point is a comma or the other way round; NULL where it is foreign, or the number has no such mark.
CREATE TEMP TABLE shown_price AS
WITH written AS (
    SELECT
        mark.page_key,
        configured_market.currency_code,
        market_mark.decimal_mark,
        mark.value,
        mark.count,
        NOT LIST_CONTAINS(mark.currency_codes, configured_market.currency_code) AS is_foreign,
        REGEXP_EXTRACT(mark.value, '[0-9][0-9.,''’ ]*') AS number
    FROM mark
    INNER JOIN page_market ON mark.page_key = page_market.page_key
    INNER JOIN configured_market ON page_market.market_code = configured_market.market_code
    LEFT JOIN market_mark ON page_market.market_code = market_mark.market_code
    WHERE mark.name = 'visible-price' AND configured_market.currency_code IS NOT NULL
)

SELECT
    page_key,
    currency_code,
    decimal_mark,
    value,
    count,
    is_foreign,
    CASE
        WHEN is_foreign THEN NULL
        WHEN REGEXP_MATCHES(number, '[.,][0-9]{1,2}\D*$')
            THEN REGEXP_EXTRACT(number, '([.,])[0-9]{1,2}\D*$', 1) <> decimal_mark
        WHEN REGEXP_MATCHES(number, '^[1-9][0-9]*[.,][0-9]{3}\D*$')
            THEN REGEXP_EXTRACT(number, '[.,]') = decimal_mark
    END AS is_odd
FROM written;

CREATE TEMP VIEW market_page_with_prices AS
SELECT html_page.* FROM html_page
SEMI JOIN shown_price ON html_page.page_key = shown_price.page_key;
