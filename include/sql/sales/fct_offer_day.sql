-- The last word of a day counts. Nothing is carried on: a price that nobody stated that day is not yesterday's.
WITH ranked AS (
    SELECT
        o.*,
        ROW_NUMBER() OVER (
            PARTITION BY o.channel_code, o.market_code, o.country_code, o.sku, o.offer_local_date
            ORDER BY o.offered_at DESC, o.row_key
        ) AS recency,
        COUNT(*) OVER (
            PARTITION BY o.channel_code, o.market_code, o.country_code, o.sku, o.offer_local_date
        ) AS statement_count
    FROM stg.file_drop__offer AS o
    WHERE o.offer_local_date >= $slice_start AND o.offer_local_date < $slice_end
)

SELECT
    o.offer_local_date,
    o.channel_code,
    o.market_code,
    o.country_code,
    o.channel_code || '/' || o.sku AS product_key,
    o.sku,
    o.offered_at,
    o.statement_count,
    CASE
        WHEN o.availability IS NOT NULL THEN o.availability
        WHEN o.stock_count > 0 THEN 'in_stock'
        WHEN o.stock_count <= 0 THEN 'out_of_stock'
        ELSE 'unknown'
    END AS availability,
    o.stock_count,
    o.currency_code,
    o.price,
    o.cost_amount,
    $base_currency AS base_currency_code,
    COALESCE(f.fx_status, 'missing') AS fx_status,
    f.rate_id AS fx_rate_id,
    f.rate_date AS fx_rate_date,
    f.source_code AS fx_source_code,
    IN_BASE(o.price, f.base_rate, f.rate) AS price_base,
    IN_BASE(o.cost_amount, f.base_rate, f.rate) AS cost_amount_base
FROM ranked AS o
LEFT JOIN int.sales__fx_rate AS f
    ON
        o.offer_local_date = f.local_date
        AND o.currency_code = f.currency_code
        AND f.local_date >= $slice_start AND f.local_date < $slice_end
WHERE o.recency = 1
