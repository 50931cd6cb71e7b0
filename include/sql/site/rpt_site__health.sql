WITH pages AS (
    SELECT
        site_code,
        crawl_date,
        CAST(SUM(page_count) AS BIGINT) AS page_count,
        CAST(SUM(indexable_count) AS BIGINT) AS indexable_count,
        CAST(SUM(judged_count) AS BIGINT) AS judged_count,
        CAST(SUM(error_page_count) AS BIGINT) AS error_page_count
    FROM int.site__market_pages
    WHERE crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date
),

issues AS (
    SELECT
        site_code,
        crawl_date,
        COUNT(CASE WHEN severity = 'error' AND NOT is_suppressed THEN 1 END) AS error_count,
        COUNT(CASE WHEN severity = 'warning' AND NOT is_suppressed THEN 1 END) AS warning_count,
        COUNT(CASE WHEN severity = 'notice' AND NOT is_suppressed THEN 1 END) AS notice_count,
        COUNT(CASE WHEN is_suppressed THEN 1 END) AS suppressed_count,
        COUNT(CASE WHEN change = 'unverified' THEN 1 END) AS unverified_count
    FROM mart.fct_site_issue
    WHERE crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date
),

changes AS (
    SELECT
        site_code,
        crawl_date,
        COUNT(CASE WHEN change = 'new' THEN 1 END) AS new_count,
        COUNT(CASE WHEN change = 'regressed' THEN 1 END) AS regressed_count,
        COUNT(CASE WHEN change = 'fixed' THEN 1 END) AS fixed_count,
        COUNT(CASE WHEN change = 'gone' THEN 1 END) AS gone_count
    FROM mart.fct_site_change
    WHERE subject = 'issue' AND crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date
),

checks AS (
    SELECT
        site_code,
        crawl_date,
        COUNT(CASE WHEN outcome = 'fired' THEN 1 END) AS fired_check_count,
        COUNT(CASE WHEN outcome = 'passed' THEN 1 END) AS passed_check_count,
        COUNT(CASE WHEN outcome = 'not_evaluated' THEN 1 END) AS not_evaluated_check_count
    FROM mart.fct_site_check
    WHERE crawl_date >= $slice_start AND crawl_date < $slice_end
    GROUP BY site_code, crawl_date
)

SELECT
    c.site_code,
    c.crawl_date,
    c.started_at,
    c.is_complete,
    c.incomplete_reason,
    c.is_comparable,
    c.not_comparable_reason,
    c.expected_count,
    c.seen_count,
    CAST(CAST(c.seen_count AS DOUBLE) / NULLIF(c.expected_count, 0) AS DECIMAL(18, 8)) AS coverage_share,
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
    COALESCE(i.suppressed_count, 0) AS suppressed_count,
    COALESCE(i.unverified_count, 0) AS unverified_count,
    CASE WHEN c.is_comparable THEN COALESCE(h.new_count, 0) END AS new_count,
    CASE WHEN c.is_comparable THEN COALESCE(h.regressed_count, 0) END AS regressed_count,
    CASE WHEN c.is_comparable AND c.is_complete THEN COALESCE(h.fixed_count, 0) END AS fixed_count,
    CASE WHEN c.is_comparable AND c.is_complete THEN COALESCE(h.gone_count, 0) END AS gone_count,
    COALESCE(k.fired_check_count, 0) AS fired_check_count,
    COALESCE(k.passed_check_count, 0) AS passed_check_count,
    COALESCE(k.not_evaluated_check_count, 0) AS not_evaluated_check_count
FROM int.site__crawl AS c
LEFT JOIN pages AS p ON c.site_code = p.site_code AND c.crawl_date = p.crawl_date
LEFT JOIN issues AS i ON c.site_code = i.site_code AND c.crawl_date = i.crawl_date
LEFT JOIN changes AS h ON c.site_code = h.site_code AND c.crawl_date = h.crawl_date
LEFT JOIN checks AS k ON c.site_code = k.site_code AND c.crawl_date = k.crawl_date
WHERE c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
