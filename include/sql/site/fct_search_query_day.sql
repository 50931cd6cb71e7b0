-- Two remainders: of a country and device what no query row says (queries that too few people made, and those beyond
-- Google's 50,000), and of the day what no country says, under the country ZZ and the device unknown.
WITH counted AS (
    SELECT
        r.site_code,
        r.search_local_date,
        r.search_type,
        r.breakdown,
        COALESCE(r.market_code, 'ZZ') AS market_code,
        COALESCE(r.country_code, 'ZZ') AS country_code,
        COALESCE(r.device, 'unknown') AS device,
        r.query_text,
        r.click_count,
        r.impression_count,
        r.position_sum
    FROM stg.search_console__row AS r
    WHERE
        r.search_local_date >= $slice_start AND r.search_local_date < $slice_end
        AND r.breakdown IN ('day', 'country_device', 'query')
),

differences AS (
    SELECT
        site_code,
        search_local_date,
        search_type,
        market_code,
        country_code,
        device,
        CASE WHEN breakdown = 'query' THEN -1 ELSE 1 END AS sign,
        click_count,
        impression_count,
        position_sum
    FROM counted

    UNION ALL

    SELECT
        site_code,
        search_local_date,
        search_type,
        'ZZ' AS market_code,
        'ZZ' AS country_code,
        'unknown' AS device,
        -1 AS sign,
        click_count,
        impression_count,
        position_sum
    FROM counted
    WHERE breakdown = 'country_device'
),

parts AS (
    SELECT
        site_code,
        search_local_date,
        search_type,
        market_code,
        country_code,
        device,
        query_text,
        FALSE AS is_other,
        CAST(SUM(click_count) AS BIGINT) AS click_count,
        CAST(SUM(impression_count) AS BIGINT) AS impression_count,
        CAST(SUM(position_sum) AS BIGINT) AS position_sum
    FROM counted
    WHERE breakdown = 'query'
    GROUP BY site_code, search_local_date, search_type, market_code, country_code, device, query_text

    UNION ALL

    SELECT
        site_code,
        search_local_date,
        search_type,
        market_code,
        country_code,
        device,
        '(other)' AS query_text,
        TRUE AS is_other,
        CAST(SUM(sign * click_count) AS BIGINT) AS click_count,
        CAST(SUM(sign * impression_count) AS BIGINT) AS impression_count,
        CAST(SUM(sign * position_sum) AS BIGINT) AS position_sum
    FROM differences
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
    p.query_text,
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
