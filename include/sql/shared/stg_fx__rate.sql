-- One rate for each currency and day: a person's before the fetched one, the fetched before the bundled.
-- Only keys with more than one version can be superseded: the join's build side stays small.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.fx__rate
    WHERE rate_date >= $slice_start - INTERVAL '14' DAY AND rate_date < $slice_end AND version > 1
    GROUP BY row_key
),

told AS (
    SELECT
        r.rate_date,
        r.currency_code,
        r.base_currency_code,
        r.rate,
        r.source_code,
        r.source_code || ':' || r.currency_code || ':' || CAST(r.rate_date AS VARCHAR) || ':'
        || CAST(r.version AS VARCHAR)
        -- Two files may state the same day, each in versions of its own.
        || CASE WHEN r.source_code = 'user' THEN ':' || SUBSTRING(CAST(r.row_key AS VARCHAR), 1, 8) ELSE '' END
            AS rate_id,
        CASE r.source_code WHEN 'user' THEN 1 WHEN 'fetched' THEN 2 ELSE 3 END AS precedence,
        r.stated_source,
        r.observed_at AS known_at,
        r.row_key,
        r.version,
        ROW_NUMBER() OVER (
            PARTITION BY r.source_code, r.rate_date, r.currency_code
            ORDER BY r.observed_at DESC, r.row_key, r.version
        ) AS recency
    FROM raw.fx__rate AS r
    LEFT JOIN superseded AS s ON r.row_key = s.row_key
    WHERE
        r.rate_date >= $slice_start - INTERVAL '14' DAY AND r.rate_date < $slice_end
        AND r.change = 'row'
        AND (s.version IS NULL OR r.version = s.version)
),

-- Of two files of a person the one read last holds.
stated AS (
    SELECT *
    FROM told
    WHERE recency = 1
),

-- A rate against another base, such as dirhams for a dollar: times that base's rate of the day, or the last before.
crossed AS (
    SELECT
        s.rate_date,
        s.currency_code,
        -- Widened first: a product of two DECIMAL(18, 8) would have room for 2 digits before the point.
        CAST(CAST(s.rate AS DECIMAL(38, 8)) * b.rate AS DECIMAL(18, 8)) AS rate,
        s.source_code,
        s.rate_id || '*' || b.rate_id AS rate_id,
        s.precedence,
        s.stated_source,
        s.known_at,
        s.row_key,
        s.version,
        ROW_NUMBER() OVER (
            PARTITION BY s.row_key, s.version ORDER BY b.rate_date DESC, b.precedence, b.row_key, b.version
        ) AS place
    FROM stated AS s
    INNER JOIN stated AS b
        ON
            s.base_currency_code = b.currency_code
            AND b.base_currency_code = 'EUR'
            AND b.rate_date <= s.rate_date
            AND b.rate_date >= s.rate_date - CAST($fx_max_carry_days AS INTEGER)
    WHERE s.base_currency_code <> 'EUR' AND s.rate_date >= $slice_start
),

in_euro AS (
    SELECT rate_date, currency_code, rate, source_code, rate_id, precedence, stated_source, known_at, row_key, version
    FROM stated
    WHERE base_currency_code = 'EUR' AND rate_date >= $slice_start
    UNION ALL
    SELECT rate_date, currency_code, rate, source_code, rate_id, precedence, stated_source, known_at, row_key, version
    FROM crossed
    WHERE place = 1
),

ranked AS (
    SELECT
        e.*,
        ROW_NUMBER() OVER (
            PARTITION BY e.rate_date, e.currency_code ORDER BY e.precedence, e.row_key, e.version
        ) AS place,
        MIN(e.rate) OVER (PARTITION BY e.rate_date, e.currency_code) AS lowest,
        MAX(e.rate) OVER (PARTITION BY e.rate_date, e.currency_code) AS highest
    FROM in_euro AS e
)

SELECT
    r.rate_date,
    r.currency_code,
    r.rate,
    r.rate_id,
    r.source_code,
    r.stated_source,
    r.known_at,
    -- A rate is never carried past the end of its currency: from then on only a person can say what it is worth.
    CASE
        WHEN
            r.rate_date < e.ended_date
            AND e.ended_date <= r.rate_date + CAST($fx_max_carry_days AS INTEGER)
            THEN e.ended_date - 1
        ELSE r.rate_date + CAST($fx_max_carry_days AS INTEGER)
    END AS carried_until_date,
    r.highest - r.lowest > CAST(r.lowest AS DECIMAL(38, 8)) * CAST($fx_max_source_difference AS DECIMAL(6, 4))
        AS is_disputed
FROM ranked AS r
LEFT JOIN stg.config__ended_currency AS e ON r.currency_code = e.currency_code
WHERE r.place = 1
