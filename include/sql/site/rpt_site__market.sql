WITH open_issue AS (
    SELECT
        site_code,
        crawl_date,
        market_code,
        COUNT(CASE WHEN severity = 'error' THEN 1 END) AS error_count,
        COUNT(CASE WHEN severity = 'warning' THEN 1 END) AS warning_count,
        COUNT(CASE WHEN severity = 'notice' THEN 1 END) AS notice_count,
        COUNT(CASE WHEN category = 'international' THEN 1 END) AS international_count
    FROM mart.fct_site_issue
    WHERE NOT is_suppressed AND crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date, market_code
),

pages AS (
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
)

SELECT
    c.site_code,
    c.crawl_date,
    c.is_complete,
    COALESCE(p.market_code, i.market_code) AS market_code,
    COALESCE(p.page_count, 0) AS page_count,
    COALESCE(p.indexable_count, 0) AS indexable_count,
    COALESCE(p.judged_count, 0) AS judged_count,
    COALESCE(p.error_page_count, 0) AS error_page_count,
    CASE
        WHEN c.is_complete
            THEN CAST(CAST(p.judged_count - p.error_page_count AS DOUBLE) / NULLIF(p.judged_count, 0) AS DECIMAL(18, 8))
    END AS health_share,
    COALESCE(i.error_count, 0) AS error_count,
    COALESCE(i.warning_count, 0) AS warning_count,
    COALESCE(i.notice_count, 0) AS notice_count,
    COALESCE(i.international_count, 0) AS international_count
FROM pages AS p
FULL JOIN open_issue AS i
    ON p.site_code = i.site_code AND p.crawl_date = i.crawl_date AND p.market_code = i.market_code
INNER JOIN int.site__crawl AS c
    ON COALESCE(p.site_code, i.site_code) = c.site_code AND COALESCE(p.crawl_date, i.crawl_date) = c.crawl_date
WHERE c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
