-- The last crawl of each day counts: somebody who mended a page crawls again.
SELECT
    c.site_code,
    c.crawl_date,
    c.crawl_id,
    c.started_at,
    c.ended_at,
    c.expected_count,
    c.seen_count,
    c.is_complete,
    c.incomplete_reason,
    c.is_comparable,
    c.not_comparable_reason,
    c.config_hash
FROM raw.crawl__crawl AS c
INNER JOIN (
    SELECT
        site_code,
        crawl_date,
        MAX(crawl_id) AS crawl_id
    FROM raw.crawl__crawl
    WHERE crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date
) AS n ON c.site_code = n.site_code AND c.crawl_id = n.crawl_id
WHERE c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
