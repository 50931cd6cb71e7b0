-- Offers of file channels: what a product cost at a moment, and how many there were.

CREATE TABLE raw.file_drop__offer (
    row_number BIGINT,
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country_name VARCHAR,
    currency_code VARCHAR,
    offer_local_date DATE,
    sku VARCHAR,
    offered_at TIMESTAMP,
    updated_at TIMESTAMP,
    price DECIMAL(18,4),
    cost_amount DECIMAL(18,4),
    stock_count DECIMAL(18,4),
    availability VARCHAR,
    offer_kind VARCHAR,
    offer_rule VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.file_drop__offer (row_key)
-- index: raw.file_drop__offer (load_id)
-- index: raw.file_drop__offer (offer_local_date)
