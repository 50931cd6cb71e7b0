SELECT
    p.site_code,
    p.crawl_date,
    p.market_code,
    COUNT(*) AS page_count,
    COUNT(CASE WHEN p.is_indexable THEN 1 END) AS indexable_count,
    COUNT(CASE WHEN p.is_judged THEN 1 END) AS judged_count,
    COUNT(CASE WHEN p.is_judged AND e.url IS NOT NULL THEN 1 END) AS error_page_count
FROM mart.fct_page AS p
LEFT JOIN (
    SELECT DISTINCT
        site_code,
        crawl_date,
        url
    FROM mart.fct_site_issue
    WHERE
        severity = 'error' AND NOT is_suppressed
        AND crawl_date >= $slice_start AND crawl_date < $slice_end
) AS e ON p.site_code = e.site_code AND p.crawl_date = e.crawl_date AND p.url = e.url
WHERE p.crawl_date >= $slice_start AND p.crawl_date < $slice_end
GROUP BY p.site_code, p.crawl_date, p.market_code
