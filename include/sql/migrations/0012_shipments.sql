-- Shipments of file channels, as append-only as orders. `shipment_kind`: outbound or return.

CREATE TABLE raw.file_drop__shipment (
    row_number BIGINT,
    row_key UUID,
    payload_hash UUID,
    channel_code VARCHAR,
    market_code VARCHAR,
    country_code VARCHAR,
    country_name VARCHAR,
    currency_code VARCHAR,
    shipment_local_date DATE,
    shipment_id VARCHAR,
    order_id VARCHAR,
    shipped_at TIMESTAMP,
    delivered_at TIMESTAMP,
    updated_at TIMESTAMP,
    status VARCHAR,
    party VARCHAR,
    consignee_id VARCHAR,
    weight_kg DECIMAL(18,4),
    piece_count DECIMAL(18,4),
    freight_amount DECIMAL(18,4),
    insured_amount DECIMAL(18,4),
    shipment_kind VARCHAR,
    shipment_rule VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.file_drop__shipment (row_key)
-- index: raw.file_drop__shipment (load_id)
-- index: raw.file_drop__shipment (shipment_local_date)
