-- Exchange rates of several sources in one table: user (a person's files), fetched, bundled with the installation.
-- The old table held the bundled ones alone; the next run loads them again, and every conversion is made anew.

DROP TABLE raw.ecb__fx_rate;
DROP TABLE IF EXISTS stg.ecb__fx_rate;
DELETE FROM ops.model WHERE model_name = 'stg.ecb__fx_rate';
DELETE FROM ops.dirty_slice WHERE model_name = 'stg.ecb__fx_rate';
DELETE FROM ops.blocked_slice WHERE model_name = 'stg.ecb__fx_rate' OR cause_model = 'stg.ecb__fx_rate';

-- `rate`: units of the currency for one unit of the base. `stated_source`: whom a person names as the source.
CREATE TABLE raw.fx__rate (
    row_key UUID,
    payload_hash UUID,
    source_code VARCHAR,
    rate_date DATE,
    base_currency_code VARCHAR,
    currency_code VARCHAR,
    rate DECIMAL(18,8),
    stated_source VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- `ended_date`: the first day on which it was no longer its country's currency.
CREATE TABLE raw.config__ended_currency (
    row_key UUID,
    payload_hash UUID,
    currency_code VARCHAR,
    ended_date DATE,
    successor_code VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.fx__rate (row_key)
-- index: raw.fx__rate (load_id)
-- index: raw.fx__rate (rate_date)
