SELECT
    p.site_code,
    p.crawl_date,
    p.url,
    p.page_key,
    p.market_code,
    p.depth,
    p.outcome,
    p.outcome_reason,
    p.requested_at,
    p.http_status,
    p.location_url,
    p.media_type,
    p.ttfb_ms,
    p.body_bytes,
    p.is_html,
    p.is_indexable,
    p.is_in_sitemap,
    p.inlink_count,
    p.link_score,
    p.language_code,
    p.detected_language,
    p.title,
    p.description,
    p.h1,
    p.canonical_url,
    p.word_count,
    p.character_count,
    p.text_hash,
    -- What answers with a redirect is no page; what was not asked for is not known.
    p.outcome IN ('fetched', 'not_modified', 'failed') AND NOT (p.outcome = 'fetched' AND p.location_url IS NOT NULL)
        AS is_judged
FROM raw.crawl__page AS p
INNER JOIN int.site__crawl AS c ON p.site_code = c.site_code AND p.crawl_id = c.crawl_id
WHERE
    p.crawl_date >= $slice_start AND p.crawl_date < $slice_end
    AND c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
