-- What leads from one page to another, made of the pages of views.sql: links, redirects, sitemaps, alternates.

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
