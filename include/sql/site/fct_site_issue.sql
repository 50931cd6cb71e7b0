SELECT
    i.site_code,
    i.crawl_date,
    i.check_id,
    i.url,
    i.check_version,
    i.severity,
    i.category,
    i.market_code,
    i.page_key,
    i.change,
    i.first_seen_at,
    i.last_seen_at,
    i.regressed_count,
    i.affected_count,
    i.evidence,
    i.is_suppressed,
    i.suppressed_by,
    i.suppressed_reason,
    i.revenue_amount,
    i.currency_code,
    i.revenue_reason
FROM raw.crawl__issue AS i
INNER JOIN int.site__crawl AS c ON i.site_code = c.site_code AND i.crawl_id = c.crawl_id
WHERE
    i.state = 'open'
    AND i.crawl_date >= $slice_start AND i.crawl_date < $slice_end
    AND c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
