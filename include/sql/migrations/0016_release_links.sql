-- Web links of releases that were planned, as they are sent: what an order's utm values lead back to.

CREATE TABLE raw.release__link (
    row_key UUID,
    payload_hash UUID,
    release_id VARCHAR,
    revision INTEGER,
    content_hash VARCHAR,
    outlet VARCHAR,
    locale VARCHAR,
    link_id VARCHAR,
    place INTEGER,
    url VARCHAR,
    target_url VARCHAR,
    is_tagged BOOLEAN,
    utm_source VARCHAR,
    utm_medium VARCHAR,
    utm_campaign VARCHAR,
    utm_content VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);
