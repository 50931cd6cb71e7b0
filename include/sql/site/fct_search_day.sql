-- The totals of a country and device less their pages are what no page row says: those beyond Google's 50,000.
WITH counted AS (
    SELECT
        r.*,
        CASE WHEN r.breakdown = 'page' THEN r.page_url ELSE '(other)' END AS page,
        CASE WHEN r.breakdown = 'page' THEN -1 ELSE 1 END AS sign
    FROM stg.search_console__row AS r
    WHERE
        r.search_local_date >= $slice_start AND r.search_local_date < $slice_end
        AND r.breakdown IN ('page', 'country_device_by_page')
),

parts AS (
    SELECT
        site_code,
        search_local_date,
        search_type,
        market_code,
        country_code,
        device,
        page_url,
        FALSE AS is_other,
        CAST(SUM(click_count) AS BIGINT) AS click_count,
        CAST(SUM(impression_count) AS BIGINT) AS impression_count,
        CAST(SUM(position_sum) AS BIGINT) AS position_sum
    FROM counted
    WHERE breakdown = 'page'
    GROUP BY site_code, search_local_date, search_type, market_code, country_code, device, page_url

    UNION ALL

    SELECT
        site_code,
        search_local_date,
        search_type,
        market_code,
        country_code,
        device,
        '(other)' AS page_url,
        TRUE AS is_other,
        CAST(SUM(sign * click_count) AS BIGINT) AS click_count,
        CAST(SUM(sign * impression_count) AS BIGINT) AS impression_count,
        CAST(SUM(sign * position_sum) AS BIGINT) AS position_sum
    FROM counted
    GROUP BY site_code, search_local_date, search_type, market_code, country_code, device
    HAVING SUM(sign * click_count) <> 0 OR SUM(sign * impression_count) <> 0 OR SUM(sign * position_sum) <> 0
)

SELECT
    p.site_code,
    p.search_local_date,
    p.search_type,
    p.market_code,
    p.country_code,
    p.device,
    p.page_url,
    p.is_other,
    p.click_count,
    p.impression_count,
    p.position_sum,
    COALESCE(d.is_final, FALSE) AS is_final
FROM parts AS p
LEFT JOIN stg.search_console__row AS d
    ON
        p.site_code = d.site_code
        AND p.search_local_date = d.search_local_date
        AND p.search_type = d.search_type
        AND d.breakdown = 'day'
        AND d.search_local_date >= $slice_start AND d.search_local_date < $slice_end
