-- Market and country are those of its order where it is known. Of an order under two days the first one is named.
-- fx_status is NULL where a shipment names no currency: there is nothing to convert.
WITH shipments AS (
    SELECT
        s.*,
        s.channel_code || '/' || s.order_id AS order_key,
        $base_currency AS base_currency_code,
        CASE WHEN s.currency_code IS NOT NULL THEN COALESCE(f.fx_status, 'missing') END AS fx_status,
        f.rate_id AS fx_rate_id,
        f.rate_date AS fx_rate_date,
        f.source_code AS fx_source_code,
        f.base_rate,
        f.rate
    FROM stg.file_drop__shipment AS s
    LEFT JOIN int.sales__fx_rate AS f
        ON
            s.shipment_local_date = f.local_date
            AND s.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
    WHERE s.shipment_local_date >= $slice_start AND s.shipment_local_date < $slice_end
),

orders AS (
    SELECT
        o.order_key,
        o.order_local_date,
        o.market_code,
        o.country_code,
        ROW_NUMBER() OVER (PARTITION BY o.order_key ORDER BY o.order_local_date) AS day_number
    FROM mart.fct_order AS o
    WHERE o.order_key IN (SELECT s.order_key FROM shipments AS s)
),

-- Two entries may have one name: a code that left the configuration stays.
party_names AS (
    SELECT c.name, MIN(c.party_code) AS party_code
    FROM stg.config__party AS c
    GROUP BY c.name
)

SELECT
    s.row_key AS shipment_key,
    s.shipment_id,
    s.order_key,
    s.channel_code,
    COALESCE(o.market_code, s.market_code, 'ZZ') AS market_code,
    COALESCE(o.country_code, s.country_code) AS country_code,
    o.order_local_date,
    s.shipment_local_date,
    s.shipped_at,
    s.delivered_at,
    s.status,
    s.shipment_kind,
    COALESCE(c.party_code, n.party_code, 'unknown') AS party_code,
    s.party,
    s.channel_code || '/' || s.consignee_id AS consignee_key,
    CASE
        WHEN s.order_key IS NULL THEN 'order_not_named'
        WHEN o.order_key IS NULL THEN 'order_unknown'
        ELSE 'linked'
    END AS link_status,
    s.weight_kg,
    s.piece_count,
    s.currency_code,
    s.freight_amount,
    s.insured_amount,
    s.base_currency_code,
    s.fx_status,
    s.fx_rate_id,
    s.fx_rate_date,
    s.fx_source_code,
    IN_BASE(s.freight_amount, s.base_rate, s.rate) AS freight_amount_base,
    IN_BASE(s.insured_amount, s.base_rate, s.rate) AS insured_amount_base
FROM shipments AS s
LEFT JOIN orders AS o ON s.order_key = o.order_key AND o.day_number = 1
LEFT JOIN stg.config__party AS c ON s.party = c.party_code
LEFT JOIN party_names AS n ON s.party = n.name
