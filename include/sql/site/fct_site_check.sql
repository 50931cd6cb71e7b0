SELECT
    k.site_code,
    k.crawl_date,
    k.check_id,
    k.check_version,
    k.severity,
    k.category,
    k.outcome,
    k.outcome_reason,
    k.judged_count,
    k.issue_count,
    k.affected_count
FROM raw.crawl__check AS k
INNER JOIN int.site__crawl AS c ON k.site_code = c.site_code AND k.crawl_id = c.crawl_id
WHERE
    k.crawl_date >= $slice_start AND k.crawl_date < $slice_end
    AND c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
