-- What checks ask, made once over a crawl's tables (plugins/caravan/clients/crawl/tables.py) and the inputs beside them
-- (clients/crawl/facts.py). Whatever a check is `over` has page_key, url and market_code; page_key is NULL where it is
-- no page that is judged. Tables: several checks ask them. Views: a filter that costs nothing.

CREATE TEMP MACRO PATH_OF(address) AS REGEXP_EXTRACT(address, '^[a-z]+://[^/?#]*([^?#]*)', 1);

CREATE TEMP MACRO QUERY_OF(address) AS REGEXP_EXTRACT(address, '^[^?#]*\?([^#]*)', 1);

CREATE TEMP MACRO HOSTNAME_OF(host) AS REGEXP_REPLACE(host, ':[0-9]+$', '');

-- Characters as a reader counts them: without marks that stand on others, as in Thai. ASCII has none, and no time is
-- spent on looking for them.
CREATE TEMP MACRO CHARACTERS_OF(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words) THEN LENGTH(words)
    ELSE LENGTH(REGEXP_REPLACE(words, '\p{M}', '', 'g'))
END;

-- Characters that are twice as wide as Latin ones, with what stands between them.
CREATE TEMP MACRO WIDE_OF(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words) THEN 0
    ELSE
        LENGTH(
            REGEXP_REPLACE(
                words,
                '[^\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\x{3000}-\x{303F}\x{30FC}\x{FF00}-\x{FFEF}]',
                '',
                'g'
            )
        )
END;

-- What part of the room for so many Latin, or so many wide characters a text takes: titles have both.
CREATE TEMP MACRO ROOM_OF(words, latin, wide) AS
(CHARACTERS_OF(words) - WIDE_OF(words)) / latin + WIDE_OF(words) / wide;

-- Two texts that a reader takes for the same.
CREATE TEMP MACRO SAME_WORDS(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words)
        THEN
            TRIM(
                REGEXP_REPLACE(
                    TRANSLATE(LOWER(words), '!"#%&''()*,-./:;?@[\]_{}', REPEAT(' ', 23)), ' {2,}', ' ', 'g'
                )
            )
    ELSE TRIM(REGEXP_REPLACE(LOWER(NFC_NORMALIZE(words)), '[\s\p{P}]+', ' ', 'g'))
END;

-- ISO 639-1 of a tag, as far as detection tells languages apart.
CREATE TEMP MACRO LANGUAGE_OF(tag) AS
CASE SPLIT_PART(LOWER(tag), '-', 1)
    WHEN 'nb' THEN 'no'
    WHEN 'nn' THEN 'no'
    WHEN 'iw' THEN 'he'
    WHEN 'in' THEN 'id'
    WHEN 'ms' THEN 'id'
    WHEN 'bs' THEN 'hr'
    WHEN 'sr' THEN 'hr'
    WHEN 'sh' THEN 'hr'
    WHEN 'fil' THEN 'tl'
    WHEN 'cmn' THEN 'zh'
    WHEN 'yue' THEN 'zh'
    ELSE SPLIT_PART(LOWER(tag), '-', 1)
END;

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
        AND STARTS_WITH(PATH_OF(page.url), COALESCE(market.prefix, ''))
GROUP BY page.page_key;

-- Every address of the crawl, with what came of it in a word, whether it may be indexed and what it names as canonical.
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
        -- No browser has more of it: it breaks off, has nothing in it, or cannot be unpacked.
        WHEN
            page.kind = 'page'
            AND COALESCE(page.media_type, 'text/html') IN ('text/html', 'application/xhtml+xml')
            AND (
                page.reason IN ('timeout', 'broken', 'empty')
                OR (
                    page.reason = 'encoding'
                    AND page.body_bytes = 0
                    AND LOWER(page.content_encoding) IN ('gzip', 'x-gzip', 'deflate')
                )
            )
            THEN 'unreachable'
        WHEN page.status_code IN (301, 302, 303, 307, 308) AND page.location_url IS NOT NULL THEN 'redirect'
        WHEN page.status_code BETWEEN 200 AND 299 THEN 'ok'
        ELSE 'odd'
    END AS state,
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

-- Documents of any type that are there.
CREATE TEMP VIEW ok_page AS
SELECT * FROM known_page
WHERE state = 'ok';

CREATE TEMP VIEW redirect_page AS
SELECT * FROM known_page
WHERE state = 'redirect';

-- What was read whole as HTML: pages that were cut off are not judged by what they may have after the cut.
CREATE TEMP VIEW html_page AS
SELECT * FROM ok_page
WHERE is_html AND NOT COALESCE(is_truncated, FALSE) AND (status_code = 200 OR outcome = 'not_modified');

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
-- is a page. Home pages may look like it: one-page shops.
CREATE TEMP VIEW page_to_be_missing AS
SELECT
    html_page.*,
    host.missing_page_hash,
    host.missing_page_status
FROM html_page
LEFT JOIN host
    ON html_page.host = host.host AND COALESCE(host.is_https = STARTS_WITH(html_page.url, 'https://'), TRUE)
WHERE html_page.character_count > 0 AND PATH_OF(html_page.url) NOT IN ('', '/');

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

-- Links that a reader can follow from one page of the site to another (or the same), each once.
CREATE TEMP TABLE internal_link AS
SELECT
    link.page_key,
    link.target_key,
    link.position,
    link.is_nofollow
FROM link
SEMI JOIN ok_page ON link.page_key = ok_page.page_key
WHERE link.is_internal AND link.tag IN ('a', 'area') AND link.target_key IS NOT NULL;

-- The same, each pair of pages once.
CREATE TEMP TABLE link_pair AS
SELECT DISTINCT
    page_key,
    target_key
FROM internal_link;

-- How many pages link to an address, itself not counted.
CREATE TEMP TABLE inlink AS
SELECT
    target_key AS page_key,
    COUNT(*) AS inlink_count
FROM link_pair
WHERE page_key <> target_key
GROUP BY target_key;

-- Where a redirect leads in the end. final_key: the first address that does not redirect on, or that was met before.
CREATE TEMP TABLE redirect_path AS
WITH RECURSIVE hop AS (
    SELECT
        page_key,
        location_key AS final_key,
        location_url AS final_url,
        1 AS hop_count,
        [page_key] AS met,
        [url] AS urls
    FROM redirect_page
    UNION ALL
    SELECT
        hop.page_key,
        next.location_key AS final_key,
        next.location_url AS final_url,
        hop.hop_count + 1 AS hop_count,
        LIST_APPEND(hop.met, next.page_key) AS met,
        LIST_APPEND(hop.urls, next.url) AS urls
    FROM hop
    INNER JOIN redirect_page AS next ON hop.final_key = next.page_key
    WHERE hop.hop_count <= 10 AND NOT LIST_CONTAINS(hop.met, next.page_key)
)

SELECT
    hop.page_key,
    hop.final_key,
    hop.final_url,
    hop.hop_count,
    LIST_APPEND(hop.urls, hop.final_url) AS urls,
    COALESCE(LIST_CONTAINS(hop.met, hop.final_key), FALSE) AS is_loop,
    final.state AS final_state,
    final.status_code AS final_status_code
FROM hop
LEFT JOIN address AS final ON hop.final_key = final.page_key
QUALIFY ROW_NUMBER() OVER (PARTITION BY hop.page_key ORDER BY hop.hop_count DESC) = 1;

-- Sitemaps of which nobody knows tonight what they list: without an answer, or one that says to come back.
CREATE TEMP VIEW unread_sitemap AS
SELECT * FROM sitemap
WHERE
    outcome = 'failed'
    OR status_code >= 500
    OR status_code = 429
    OR reason IN ('timeout', 'broken', 'told_to_wait', 'robots_unavailable', 'host_unavailable');

-- What pages of the site say about themselves in sitemaps.
CREATE TEMP TABLE listed AS
SELECT
    page_key,
    MIN(url) AS url,
    MIN(sitemap_url) AS sitemap_url,
    COUNT(DISTINCT sitemap_url) AS sitemap_count,
    MAX(lastmod_at) AS lastmod_at
FROM sitemap_url
WHERE problem IS NULL AND page_key IS NOT NULL
GROUP BY page_key;

-- Every code that pages give as their own language or as an alternate's, compared with the lists part by part. Nothing is
-- repaired: what parses tags makes en-GB of en-uk. language_problem: as a tag of BCP 47. region_problem: as hreflang,
-- which knows language, script and a country of ISO 3166-1 alone.
CREATE TEMP TABLE language_tag AS
WITH stated AS (
    SELECT language_code AS tag FROM page
    UNION
    SELECT code AS tag FROM hreflang
),

split AS (
    SELECT
        tag,
        STRING_SPLIT(LOWER(TRIM(tag)), '-') AS parts
    FROM stated
    WHERE TRIM(tag) <> ''
),

named AS (
    SELECT
        tag,
        parts[1] AS language,
        CASE WHEN REGEXP_FULL_MATCH(parts[2], '[a-z]{4}') THEN parts[2] END AS script,
        CASE WHEN REGEXP_FULL_MATCH(parts[2], '[a-z]{4}') THEN parts[3:] ELSE parts[2:] END AS behind
    FROM split
)

SELECT
    tag,
    LOWER(TRIM(tag)) AS code,
    language,
    script,
    behind[1] AS region,
    LOWER(TRIM(tag)) = 'x-default' AS is_default,
    CASE
        WHEN LOWER(TRIM(tag)) = 'x-default' THEN NULL
        WHEN language IN (SELECT country_code.code FROM country_code)
            AND language NOT IN (SELECT language_code.code FROM language_code)
            THEN 'a country, no language'
        WHEN language NOT IN (SELECT language_code.code FROM language_code) THEN 'unknown language'
        WHEN script NOT IN (SELECT script_code.code FROM script_code) THEN 'unknown script'
        WHEN LEN(behind[1]) = 2 AND behind[1] NOT IN (SELECT country_code.code FROM country_code) THEN 'unknown country'
        WHEN LEN(LIST_FILTER(behind, part -> NOT REGEXP_FULL_MATCH(part, '[a-z0-9]{1,8}'))) > 0 THEN 'no tag of BCP 47'
    END AS language_problem,
    CASE
        WHEN LOWER(TRIM(tag)) = 'x-default' OR LEN(behind) = 0 THEN NULL
        WHEN behind[1] NOT IN (SELECT country_code.code FROM country_code) THEN 'no country of ISO 3166-1'
        WHEN LEN(behind) > 1 THEN 'more than language, script and country'
    END AS region_problem
FROM named;

-- hreflang of all three sources as one graph: what search engines read, of pages that they index. With codes that do not
-- exist: whoever wrote en-uk did name the page. What stands in both ends' keys is looked up where it is asked for.
CREATE TEMP TABLE alternate AS
SELECT
    hreflang.page_key,
    hreflang.target_key,
    hreflang.source,
    language_tag.code,
    language_tag.is_default,
    CASE WHEN language_tag.language_problem IS NULL AND NOT language_tag.is_default THEN LANGUAGE_OF(language_tag.tag) END
        AS language
FROM hreflang
INNER JOIN language_tag ON hreflang.code = language_tag.tag
SEMI JOIN indexable ON hreflang.page_key = indexable.page_key
WHERE hreflang.target_key IS NOT NULL AND (hreflang.source <> 'html' OR hreflang.is_in_head);

-- What is spoken in each market.
CREATE TEMP TABLE market_language AS
SELECT DISTINCT
    market_code,
    LANGUAGE_OF(locale) AS language
FROM (SELECT market_code, UNNEST(locales) AS locale FROM market);

-- Links between pages of the site as a reader follows them: each pair once, redirects gone through. Few lead to one, and
-- only these are compared with all others.
CREATE TEMP TABLE edge AS
WITH led_on AS (
    SELECT
        page_key,
        final_key
    FROM redirect_path
    WHERE final_key IS NOT NULL
),

direct AS (
    SELECT link_pair.* FROM link_pair
    ANTI JOIN led_on ON link_pair.target_key = led_on.page_key
)

SELECT * FROM direct
UNION ALL
SELECT DISTINCT
    link_pair.page_key,
    led_on.final_key AS target_key
FROM link_pair
INNER JOIN led_on ON link_pair.target_key = led_on.page_key
ANTI JOIN direct ON link_pair.page_key = direct.page_key AND led_on.final_key = direct.target_key;

-- Styles, scripts and images of own hosts, asked for or not.
CREATE TEMP VIEW resource AS
SELECT * FROM address
WHERE kind = 'resource';
