WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__market
    GROUP BY row_key
)

SELECT
    r.market_code,
    r.name,
    r.country_code,
    r.currency_code,
    r.zone,
    r.further_zones,
    r.locale,
    r.locales,
    r.text_direction,
    r.rounding_mode,
    r.cash_rounding_amount,
    r.tax_display,
    r.vat_pct,
    r.weekend_days,
    r.week_start_day,
    r.fiscal_year_start,
    r.contact_channels,
    r.privacy_regime,
    r.residency_code
FROM raw.config__market AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
