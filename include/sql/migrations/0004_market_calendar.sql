-- Markets with the rules of the day, and each of their local days as their calendar has it.

ALTER TABLE raw.config__market ADD COLUMN further_zones VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN locale VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN locales VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN text_direction VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN rounding_mode VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN cash_rounding_amount DECIMAL(18,4);
ALTER TABLE raw.config__market ADD COLUMN tax_display VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN vat_pct DECIMAL(18,4);
ALTER TABLE raw.config__market ADD COLUMN weekend_days VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN week_start_day VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN fiscal_year_start VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN contact_channels VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN privacy_regime VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN residency_code VARCHAR;
ALTER TABLE raw.config__market ADD COLUMN calendar_version VARCHAR;

CREATE TABLE raw.config__market_date (
    row_key UUID,
    payload_hash UUID,
    market_code VARCHAR,
    local_date DATE,
    utc_start_at TIMESTAMP,
    utc_end_at TIMESTAMP,
    day_length_min INTEGER,
    is_dst_change BOOLEAN,
    iso_weekday INTEGER,
    is_weekend BOOLEAN,
    is_holiday BOOLEAN,
    holiday_name VARCHAR,
    is_override BOOLEAN,
    opening_hours VARCHAR,
    open_seconds INTEGER,
    week_start_date DATE,
    iso_week VARCHAR,
    fiscal_year INTEGER,
    peak_event VARCHAR,
    registry_version VARCHAR,
    version INTEGER,
    change VARCHAR,
    load_id VARCHAR,
    observed_at TIMESTAMP
);

-- index: raw.config__market_date (row_key)
-- index: raw.config__market_date (load_id)
