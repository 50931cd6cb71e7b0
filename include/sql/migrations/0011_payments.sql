-- Payments of file channels, as append-only as orders. `amount`: above 0; `payment_kind` says which way it went.

CREATE TABLE raw.file_drop__payment (
    row_number BIGINT,
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country_name VARCHAR,
    currency_code VARCHAR,
    payment_local_date DATE,
    payment_id VARCHAR,
    order_id VARCHAR,
    split_group_id VARCHAR,
    paid_at TIMESTAMP,
    updated_at TIMESTAMP,
    status VARCHAR,
    party VARCHAR,
    payment_method VARCHAR,
    payer_id VARCHAR,
    amount DECIMAL(18,4),
    payment_kind VARCHAR,
    payment_rule VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.file_drop__payment (row_key)
-- index: raw.file_drop__payment (load_id)
-- index: raw.file_drop__payment (payment_local_date)
