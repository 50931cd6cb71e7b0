WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.release__link
    GROUP BY row_key
)

SELECT
    r.release_id,
    r.revision,
    r.content_hash,
    r.outlet AS outlet_code,
    r.locale,
    r.link_id,
    r.place,
    r.url,
    r.target_url,
    r.is_tagged,
    r.utm_source,
    r.utm_medium,
    r.utm_campaign,
    r.utm_content
FROM raw.release__link AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
