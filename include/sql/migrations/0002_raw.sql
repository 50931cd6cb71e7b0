-- Append-only: every version of every row, as parsed. `change` is row, deleted (gone from a complete delivery)
-- or moved (the row's new version is on another day). A key's newest version has the highest number.

CREATE TABLE raw.file_drop__order (
    row_number BIGINT,
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country_name VARCHAR,
    currency_code VARCHAR,
    order_local_date DATE,
    order_id VARCHAR,
    ordered_at TIMESTAMP,
    updated_at TIMESTAMP,
    status VARCHAR,
    flow VARCHAR,
    customer_id VARCHAR,
    total_amount DECIMAL(18,4),
    shipping_amount DECIMAL(18,4),
    discount_amount DECIMAL(18,4),
    tax_amount DECIMAL(18,4),
    utm_source VARCHAR,
    utm_medium VARCHAR,
    utm_campaign VARCHAR,
    click_id VARCHAR,
    coupon_code VARCHAR,
    referrer_url VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

CREATE TABLE raw.file_drop__order_line (
    row_number BIGINT,
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country_name VARCHAR,
    currency_code VARCHAR,
    order_local_date DATE,
    order_id VARCHAR,
    line_id VARCHAR,
    ordered_at TIMESTAMP,
    updated_at TIMESTAMP,
    status VARCHAR,
    flow VARCHAR,
    customer_id VARCHAR,
    sku VARCHAR,
    product_name VARCHAR,
    quantity DECIMAL(18,4),
    unit_price DECIMAL(18,4),
    discount_amount DECIMAL(18,4),
    tax_amount DECIMAL(18,4),
    utm_source VARCHAR,
    utm_medium VARCHAR,
    utm_campaign VARCHAR,
    click_id VARCHAR,
    coupon_code VARCHAR,
    referrer_url VARCHAR,
    amount DECIMAL(18,4),
    line_kind VARCHAR,
    line_rule VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

CREATE TABLE raw.ecb__fx_rate (
    row_key UUID,
    payload_hash UUID,
    rate_date DATE,
    currency_code VARCHAR,
    rate DECIMAL(18,6),
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

CREATE TABLE raw.config__market (
    row_key UUID,
    payload_hash UUID,
    market_code VARCHAR,
    name VARCHAR,
    country_code VARCHAR,
    currency_code VARCHAR,
    zone VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

CREATE TABLE raw.config__channel (
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    name VARCHAR,
    kind VARCHAR,
    source VARCHAR,
    delivery VARCHAR,
    market_code VARCHAR,
    reporting_zone VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.file_drop__order (row_key)
-- index: raw.file_drop__order (load_id)
-- index: raw.file_drop__order (order_local_date)
-- index: raw.file_drop__order_line (row_key)
-- index: raw.file_drop__order_line (load_id)
-- index: raw.file_drop__order_line (order_local_date)
-- index: raw.ecb__fx_rate (row_key)
-- index: raw.ecb__fx_rate (load_id)
-- index: raw.ecb__fx_rate (rate_date)
