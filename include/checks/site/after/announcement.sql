-- What is told of a site after a complete crawl: its sitemap, and what has changed for search engines since the last
-- one that can be compared. Runs after the comparison, in the same database.
--
-- previous_text: `page_text` of that crawl.

-- Alternates as pages name them, in HTML or header: what sitemaps say may be what was written here a night ago. One that
-- is no page to be shown is left out.
CREATE TEMP TABLE named_alternate AS
SELECT
    hreflang.page_key,
    MIN(TRIM(hreflang.code)) AS code,
    MIN(hreflang.target_url) AS url
FROM hreflang
INNER JOIN language_tag ON hreflang.code = language_tag.tag
SEMI JOIN indexable ON hreflang.page_key = indexable.page_key
LEFT JOIN address ON hreflang.target_key = address.page_key
LEFT JOIN indexable AS target ON hreflang.target_key = target.page_key
WHERE
    (hreflang.source = 'header' OR (hreflang.source = 'html' AND hreflang.is_in_head))
    AND hreflang.target_url IS NOT NULL
    AND language_tag.language_problem IS NULL
    AND language_tag.region_problem IS NULL
    AND (address.page_key IS NULL OR address.kind = 'external' OR target.page_key IS NOT NULL)
GROUP BY hreflang.page_key, language_tag.code;

-- What is 2,048 characters long or longer is taken in no sitemap (sitemaps.org).
CREATE TEMP TABLE sitemap_page AS
SELECT
    indexable.url,
    page_text.since AS lastmod,
    COALESCE(alternates.named, []) AS alternates
FROM indexable
INNER JOIN page_text ON indexable.page_key = page_text.page_key
LEFT JOIN (
    SELECT
        page_key,
        LIST({'code': code, 'url': url} ORDER BY LOWER(code) = 'x-default', LOWER(code)) AS named
    FROM named_alternate
    GROUP BY page_key
) AS alternates ON indexable.page_key = alternates.page_key
WHERE LENGTH(indexable.url) < 2048;

-- change: added, changed, moved, removed. Only of pages that search engines may show, or might before.
CREATE TEMP TABLE told_change AS
SELECT
    CASE WHEN previous_text.page_key IS NULL THEN 'added' ELSE 'changed' END AS change,
    indexable.url
FROM indexable
LEFT JOIN previous_text ON indexable.page_key = previous_text.page_key
CROSS JOIN comparison
WHERE
    comparison.is_comparable
    AND comparison.is_complete
    AND (previous_text.page_key IS NULL OR indexable.text_hash IS DISTINCT FROM previous_text.text_hash)
UNION ALL
SELECT
    CASE WHEN address.status_code IN (301, 308) THEN 'moved' ELSE 'removed' END AS change,
    previous_text.url
FROM previous_text
ANTI JOIN indexable ON previous_text.page_key = indexable.page_key
LEFT JOIN address ON previous_text.page_key = address.page_key
CROSS JOIN comparison
WHERE
    comparison.is_comparable
    AND comparison.is_complete
    AND (address.page_key IS NULL OR IS_OVER(address.state, address.status_code, address.is_truncated));
