-- What is as it was (still) or not known (unverified) is no change.
SELECT
    i.site_code,
    i.crawl_date,
    'issue' AS subject,
    i.change,
    i.check_id,
    i.url,
    i.severity,
    i.market_code,
    i.page_key,
    CAST(NULL AS BIGINT) AS http_status,
    CAST(NULL AS VARCHAR) AS other_url
FROM raw.crawl__issue AS i
INNER JOIN int.site__crawl AS c ON i.site_code = c.site_code AND i.crawl_id = c.crawl_id
WHERE
    i.change IN ('new', 'regressed', 'fixed', 'gone')
    AND i.crawl_date >= $slice_start AND i.crawl_date < $slice_end
    AND c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
UNION ALL
SELECT
    p.site_code,
    p.crawl_date,
    'page' AS subject,
    p.change,
    '' AS check_id,
    p.url,
    CAST(NULL AS VARCHAR) AS severity,
    p.market_code,
    p.page_key,
    p.http_status,
    p.other_url
FROM raw.crawl__page_change AS p
INNER JOIN int.site__crawl AS c ON p.site_code = c.site_code AND p.crawl_id = c.crawl_id
WHERE
    p.crawl_date >= $slice_start AND p.crawl_date < $slice_end
    AND c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
