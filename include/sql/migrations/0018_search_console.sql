-- Search data, day by day as Search Console gives them. `day_key`: what one delivery covers, site/type/day.
-- `breakdown`: day (the totals, with is_final), country_device, country_device_by_page, query, page; of what a row is
-- not taken apart by, its column is NULL. `position_sum`: the average position times the impressions. A day is Pacific
-- time's.

CREATE TABLE raw.search_console__row (
    row_key UUID,
    payload_hash UUID,
    day_key VARCHAR,
    site_code VARCHAR,
    property_url VARCHAR,
    search_local_date DATE,
    search_type VARCHAR,
    breakdown VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country VARCHAR,
    device VARCHAR,
    page_url VARCHAR,
    query_text VARCHAR,
    click_count BIGINT,
    impression_count BIGINT,
    position_sum BIGINT,
    is_final BOOLEAN,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.search_console__row (day_key)
-- index: raw.search_console__row (load_id)
-- index: raw.search_console__row (search_local_date)
