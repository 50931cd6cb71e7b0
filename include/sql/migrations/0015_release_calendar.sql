-- Releases as their folders have them, a row for each revision and market; a row whose folder is gone gets a deleted
-- version. `planned_at` is UTC, `local_at` what the clock of the market shows then.

CREATE TABLE raw.config__release (
    row_key UUID,
    payload_hash UUID,
    release_id VARCHAR,
    revision INTEGER,
    market_code VARCHAR,
    title VARCHAR,
    kind VARCHAR,
    audience VARCHAR,
    action VARCHAR,
    owner VARCHAR,
    standing VARCHAR,
    zone VARCHAR,
    planned_at TIMESTAMP,
    local_at TIMESTAMP,
    outlets VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);
