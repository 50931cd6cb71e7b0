SELECT
    market_code,
    name,
    country_code,
    currency_code,
    zone
FROM stg.config__market
