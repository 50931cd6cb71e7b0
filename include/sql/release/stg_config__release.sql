-- A release whose folder was taken away before its time was called off, and is left out. Taken away later, it stays.
WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__release
    GROUP BY row_key
),

written AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__release
    WHERE change = 'row'
    GROUP BY row_key
)

SELECT
    r.release_id,
    r.revision,
    r.market_code,
    r.title,
    r.kind,
    r.audience,
    r.action,
    r.owner,
    r.standing,
    r.zone,
    r.planned_at,
    r.local_at,
    CAST(r.local_at AS DATE) AS local_date,
    r.outlets,
    n.change <> 'row' AS is_gone
FROM raw.config__release AS r
INNER JOIN written AS w ON r.row_key = w.row_key AND r.version = w.version
INNER JOIN newest AS l ON r.row_key = l.row_key
INNER JOIN raw.config__release AS n ON l.row_key = n.row_key AND l.version = n.version
WHERE n.change = 'row' OR n.observed_at > r.planned_at
