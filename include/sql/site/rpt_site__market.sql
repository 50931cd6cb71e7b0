-- Search figures are of the newest week, Monday to Sunday, that was over when the crawl began and whose seven days are
-- all read and final; of the property, by the country of the searcher. Two weeks are looked at, for numbers come late.
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
        site_code,
        crawl_date,
        market_code,
        page_count,
        indexable_count,
        judged_count,
        error_page_count
    FROM int.site__market_pages
    WHERE crawl_date >= $slice_start AND crawl_date < $slice_end
),

search AS (
    SELECT
        site_code,
        search_local_date,
        CAST(DATE_TRUNC('week', CAST(search_local_date AS TIMESTAMP)) AS DATE) AS week_start_date,
        market_code,
        click_count,
        impression_count,
        position_sum,
        is_final
    FROM mart.fct_search_query_day
    WHERE
        search_type = 'web'
        AND search_local_date >= $slice_start - INTERVAL '20' DAY AND search_local_date < $slice_end
),

week AS (
    SELECT
        site_code,
        week_start_date,
        COUNT(DISTINCT CASE WHEN is_final THEN search_local_date END) AS final_day_count
    FROM search
    GROUP BY site_code, week_start_date
),

crawl AS (
    SELECT
        c.site_code,
        c.crawl_date,
        c.is_complete,
        MAX(CASE WHEN w.final_day_count = 7 THEN w.week_start_date END) AS week_start_date,
        COUNT(w.week_start_date) AS week_count
    FROM int.site__crawl AS c
    LEFT JOIN week AS w
        ON
            c.site_code = w.site_code
            AND w.week_start_date BETWEEN c.crawl_date - INTERVAL '20' DAY AND c.crawl_date - INTERVAL '7' DAY
    WHERE c.crawl_date >= $slice_start AND c.crawl_date < $slice_end
    GROUP BY c.site_code, c.crawl_date, c.is_complete
),

found AS (
    SELECT
        c.site_code,
        c.crawl_date,
        s.market_code,
        CAST(SUM(s.click_count) AS BIGINT) AS click_count,
        CAST(SUM(s.impression_count) AS BIGINT) AS impression_count,
        CAST(SUM(s.position_sum) AS BIGINT) AS position_sum
    FROM crawl AS c
    INNER JOIN search AS s ON c.site_code = s.site_code AND c.week_start_date = s.week_start_date
    GROUP BY c.site_code, c.crawl_date, s.market_code
),

market AS (
    SELECT
        site_code,
        crawl_date,
        market_code
    FROM pages
    UNION
    SELECT
        site_code,
        crawl_date,
        market_code
    FROM open_issue
    UNION
    SELECT
        site_code,
        crawl_date,
        market_code
    FROM found
)

SELECT
    c.site_code,
    c.crawl_date,
    c.is_complete,
    m.market_code,
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
    COALESCE(i.international_count, 0) AS international_count,
    c.week_start_date AS search_week_start_date,
    CASE WHEN c.week_start_date IS NOT NULL THEN COALESCE(f.impression_count, 0) END AS impression_count,
    CASE WHEN c.week_start_date IS NOT NULL THEN COALESCE(f.click_count, 0) END AS click_count,
    CAST(CAST(f.click_count AS DOUBLE) / NULLIF(f.impression_count, 0) AS DECIMAL(18, 8)) AS click_share,
    CAST(CAST(f.position_sum AS DOUBLE) / NULLIF(f.impression_count, 0) AS DECIMAL(18, 8)) AS average_position,
    CASE
        WHEN c.week_start_date IS NULL AND c.week_count = 0 THEN 'no search data of the weeks before'
        WHEN c.week_start_date IS NULL THEN 'no week before of which all seven days are final'
        WHEN COALESCE(f.impression_count, 0) = 0 THEN 'no impressions'
    END AS search_reason
FROM market AS m
INNER JOIN crawl AS c ON m.site_code = c.site_code AND m.crawl_date = c.crawl_date
LEFT JOIN pages AS p ON m.site_code = p.site_code AND m.crawl_date = p.crawl_date AND m.market_code = p.market_code
LEFT JOIN open_issue AS i ON m.site_code = i.site_code AND m.crawl_date = i.crawl_date AND m.market_code = i.market_code
LEFT JOIN found AS f ON m.site_code = f.site_code AND m.crawl_date = f.crawl_date AND m.market_code = f.market_code
