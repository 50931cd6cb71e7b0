SELECT
    release_id,
    revision,
    content_hash,
    outlet_code,
    locale,
    link_id,
    place,
    url,
    target_url,
    is_tagged,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_content
FROM stg.release__link
