-- Companies that payments and shipments go through, and marketing methods, as configuration names them.

CREATE TABLE raw.config__party (
    row_key UUID,
    payload_hash UUID,
    party_code VARCHAR,
    name VARCHAR,
    kind VARCHAR,
    country_code VARCHAR,
    registration_id VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

CREATE TABLE raw.config__method (
    row_key UUID,
    payload_hash UUID,
    method_code VARCHAR,
    name VARCHAR,
    kind VARCHAR,
    description VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);
