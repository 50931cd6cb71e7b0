-- What checks ask, made once over a crawl's tables (plugins/caravan/clients/crawl/tables.py) and the inputs beside them
-- (clients/crawl/facts.py). Whatever a check is `over` has page_key, url and market_code; page_key is NULL where it is
-- no page that is judged. Tables: several checks ask them. Views: a filter that costs nothing.

CREATE TEMP TABLE crawl AS
SELECT
    MIN(requested_at) AS started_at,
    MAX(requested_at) AS ended_at
FROM page;

-- What meta robots and X-Robots-Tag say, one directive a row. agent: '' where all are meant.
CREATE TEMP TABLE directive AS
WITH said AS (
    SELECT
        page_key,
        'html' AS source,
        UNNEST(robots_html) AS words
    FROM page
    UNION ALL
    SELECT
        page_key,
        'header' AS source,
        UNNEST(robots_http) AS words
    FROM page
),

parted AS (
    SELECT
        page_key,
        source,
        words,
        CONTAINS(words, ':')
        AND NOT REGEXP_MATCHES(words, '^(max-snippet|max-image-preview|max-video-preview|unavailable_after)\s*:')
            AS has_agent
    FROM said
)

SELECT DISTINCT
    page_key,
    source,
    CASE WHEN has_agent THEN TRIM(SPLIT_PART(words, ':', 1)) ELSE '' END AS agent,
    REGEXP_REPLACE(
        TRIM(CASE WHEN has_agent THEN SUBSTR(words, POSITION(':' IN words) + 1) ELSE words END), '\s*:\s*', ':'
    ) AS name
FROM parted;

-- The canonical that counts: that of head, else that of the header. Where one place names several, none does.
CREATE TEMP TABLE stated_canonical AS
SELECT
    page_key,
    target_key AS canonical_key,
    target_url AS canonical_url,
    is_internal AS is_canonical_internal
FROM canonical
WHERE target_key IS NOT NULL AND (source = 'header' OR is_in_head)
QUALIFY
    ROW_NUMBER() OVER (PARTITION BY page_key ORDER BY source DESC, href) = 1
    AND MIN(target_key) OVER (PARTITION BY page_key, source) = MAX(target_key) OVER (PARTITION BY page_key, source);

-- The market of an address: that of the longest prefix; without configured markets the language that the page states.
CREATE TEMP TABLE page_market AS
SELECT
    page.page_key,
    COALESCE(
        MAX_BY(market.market_code, {'prefix': LENGTH(COALESCE(market.prefix, '')), 'code': market.market_code}),
        CASE WHEN NOT EXISTS (SELECT 1 FROM market) THEN LOWER(ANY_VALUE(page.language_code)) END,
        ''
    ) AS market_code
FROM page
LEFT JOIN market
    ON
        (market.host IS NULL OR market.host = page.host)
        AND IS_BELOW(PATH_OF(page.url), COALESCE(market.prefix, ''))
GROUP BY page.page_key;

-- Every address of the crawl, with what came of it in a word, whether it may be indexed and what it names as canonical.
-- standing: the same word, but for a page that failed tonight of the answer that was read last: so it stands in what is
-- told of other pages, except that they lead to an error tonight (`state`). Of itself only what it answered is judged
-- (`kept_page`).
CREATE TEMP TABLE address AS
SELECT
    page.*,
    page_market.market_code,
    CASE
        WHEN page.outcome = 'blocked' THEN 'blocked'
        -- 429 is throttling and says nothing about the page.
        WHEN page.outcome IN ('refused', 'skipped') OR page.status_code = 429 THEN 'unasked'
        WHEN page.outcome = 'not_modified' THEN 'ok'
        -- Above 599 is no status of HTTP: some servers send 999 to crawlers alone.
        WHEN page.status_code BETWEEN 500 AND 599 THEN 'server_error'
        WHEN page.status_code BETWEEN 400 AND 499 THEN 'client_error'
        WHEN page.outcome = 'failed' OR page.reason = 'no_location' THEN 'unreachable'
        -- Packed as it was not asked for. Browsers ask for these two, and may well read it.
        WHEN page.reason = 'encoding' AND LOWER(page.content_encoding) IN ('br', 'zstd') THEN 'ok'
        -- No browser has more of it: it breaks off, has nothing in it, or cannot be unpacked.
        WHEN page.kept_status_code IS NOT NULL AND page.status_code < 400 THEN 'unreachable'
        WHEN
            page.kind = 'page'
            AND COALESCE(page.media_type, 'text/html') IN ('text/html', 'application/xhtml+xml')
            AND page.reason IN ('timeout', 'broken', 'empty', 'encoding')
            THEN 'unreachable'
        WHEN page.status_code IN (301, 302, 303, 307, 308) AND page.location_url IS NOT NULL THEN 'redirect'
        WHEN page.status_code BETWEEN 200 AND 299 THEN 'ok'
        ELSE 'odd'
    END AS state,
    CASE
        WHEN page.kept_status_code BETWEEN 300 AND 399 THEN 'redirect'
        WHEN page.kept_status_code IS NOT NULL THEN 'ok'
        ELSE state
    END AS standing,
    COALESCE(directives.is_noindex, FALSE) AS is_noindex,
    COALESCE(directives.is_nofollow, FALSE) AS is_nofollow,
    stated_canonical.canonical_key,
    stated_canonical.canonical_url,
    stated_canonical.is_canonical_internal
FROM page
INNER JOIN page_market ON page.page_key = page_market.page_key
LEFT JOIN (
    SELECT
        page_key,
        BOOL_OR(name IN ('noindex', 'none')) AS is_noindex,
        BOOL_OR(name IN ('nofollow', 'none')) AS is_nofollow
    FROM directive
    WHERE agent IN ('', '*', 'robots', 'googlebot')
    GROUP BY page_key
) AS directives ON page.page_key = directives.page_key
LEFT JOIN stated_canonical ON page.page_key = stated_canonical.page_key;

-- Pages of the site, asked for or not.
CREATE TEMP VIEW known_page AS
SELECT * FROM address
WHERE kind = 'page';

-- Pages that were asked for and answered, or failed to.
CREATE TEMP VIEW asked_page AS
SELECT * FROM known_page
WHERE state NOT IN ('blocked', 'unasked');

-- With the styles, scripts and images of own hosts.
CREATE TEMP VIEW asked_address AS
SELECT * FROM address
WHERE kind IN ('page', 'resource') AND state NOT IN ('blocked', 'unasked');

-- Pages that failed tonight, and stand as they were last read.
CREATE TEMP TABLE kept_page AS
SELECT page_key FROM page
WHERE kept_status_code IS NOT NULL;

-- Documents of any type that are there.
CREATE TEMP VIEW ok_page AS
SELECT * FROM known_page
WHERE standing = 'ok';

CREATE TEMP VIEW redirect_page AS
SELECT * FROM known_page
WHERE standing = 'redirect';

-- What was read whole as HTML: pages that were cut off are not judged by what they may have after the cut.
CREATE TEMP VIEW html_page AS
SELECT * FROM ok_page
WHERE
    is_html
    AND NOT COALESCE(is_truncated, FALSE)
    AND (COALESCE(kept_status_code, status_code) = 200 OR outcome = 'not_modified');

-- What search engines may show under its own address.
CREATE TEMP VIEW indexable AS
SELECT * FROM html_page
WHERE NOT is_noindex AND (canonical_key IS NULL OR canonical_key = page_key);

CREATE TEMP VIEW https_page AS
SELECT * FROM html_page
WHERE STARTS_WITH(url, 'https://');

CREATE TEMP VIEW http_page AS
SELECT * FROM html_page
WHERE STARTS_WITH(url, 'http://');

-- Documents of hosts that answer over https.
CREATE TEMP VIEW page_of_https_site AS
SELECT * FROM ok_page
WHERE
    HOSTNAME_OF(host) IN (
        SELECT HOSTNAME_OF(secure.host) FROM ok_page AS secure
        WHERE STARTS_WITH(secure.url, 'https://')
    );

-- Hosts of the site by https; what is found is told of their home page.
CREATE TEMP VIEW https_host AS
SELECT
    host.*,
    CAST(NULL AS BIGINT) AS page_key,
    'https://' || host.host || '/' AS url,
    '' AS market_code
FROM host
WHERE host.is_https;

-- Pages that might only say that there is none, each with the host's answer to an address that cannot exist, where that
-- is a page; and that answer of each host, which is told of its home page. Home pages may look like it: one-page shops.
-- is_as_missing: NULL where the host was asked and did not tell.
CREATE TEMP VIEW page_to_be_missing AS
WITH probe AS (
    SELECT
        host,
        is_https,
        missing_page_hash,
        missing_page_status,
        COALESCE(missing_page_status >= 500 OR missing_page_status = 429, TRUE) AS is_silent
    FROM host
    WHERE is_probed
)

SELECT
    html_page.url,
    html_page.market_code,
    html_page.page_key,
    html_page.title,
    html_page.h1,
    html_page.word_count,
    html_page.character_count,
    CASE WHEN NOT COALESCE(probe.is_silent, FALSE) THEN COALESCE(html_page.text_hash = probe.missing_page_hash, FALSE) END
        AS is_as_missing,
    probe.missing_page_status
FROM html_page
LEFT JOIN probe
    ON html_page.host = probe.host AND COALESCE(probe.is_https = STARTS_WITH(html_page.url, 'https://'), TRUE)
WHERE html_page.character_count > 0 AND PATH_OF(html_page.url) NOT IN ('', '/')
UNION ALL
SELECT
    CASE WHEN COALESCE(is_https, TRUE) THEN 'https://' ELSE 'http://' END || host || '/' AS url,
    '' AS market_code,
    CAST(NULL AS BIGINT) AS page_key,
    CAST(NULL AS VARCHAR) AS title,
    CAST(NULL AS VARCHAR) AS h1,
    CAST(NULL AS BIGINT) AS word_count,
    CAST(NULL AS BIGINT) AS character_count,
    CASE WHEN NOT is_silent THEN missing_page_status BETWEEN 200 AND 299 END AS is_as_missing,
    missing_page_status
FROM probe;

-- What pages say that are not there.
CREATE TEMP TABLE not_found_words AS
SELECT UNNEST([
    'page not found', 'not found', 'seite nicht gefunden', 'page introuvable', 'page non trouvée',
    'página no encontrada', 'pagina non trovata', 'página não encontrada', 'pagina niet gevonden',
    'sidan hittades inte', 'sidan kunde inte hittas', 'siden blev ikke fundet', 'siden ble ikke funnet',
    'sivua ei löydy', 'nie znaleziono strony', 'stránka nenalezena', 'sayfa bulunamadı', 'страница не найдена',
    'ページが見つかりません', '页面不存在', '找不到页面', '找不到頁面', '페이지를 찾을 수 없습니다', 'الصفحة غير موجودة'
]) AS text;

-- Pages with a canonical that names another address.
CREATE TEMP VIEW canonicalised AS
SELECT
    html_page.*,
    target.state AS target_state,
    target.standing AS target_standing,
    target.status_code AS target_status_code,
    target.reason AS target_reason,
    target.is_noindex AS target_is_noindex,
    target.canonical_key AS target_canonical_key,
    target.canonical_url AS target_canonical_url,
    target.market_code AS target_market_code,
    target.language_code AS target_language_code
FROM html_page
LEFT JOIN address AS target ON html_page.canonical_key = target.page_key
WHERE html_page.canonical_key <> html_page.page_key;

-- Styles, scripts and images of own hosts, asked for or not.
CREATE TEMP VIEW resource AS
SELECT * FROM address
WHERE kind = 'resource';
