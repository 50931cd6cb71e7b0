-- received_amount: what the payment did to our money; a capture adds, a chargeback takes away, all else does nothing.
-- Market and country are those of its order where it is known. Of an order under two days the first one is named.
WITH payments AS (
    SELECT
        p.*,
        p.channel_code || '/' || p.order_id AS order_key,
        CASE p.payment_kind WHEN 'capture' THEN 1 WHEN 'chargeback' THEN -1 ELSE 0 END AS direction,
        $base_currency AS base_currency_code,
        COALESCE(f.fx_status, 'missing') AS fx_status,
        f.rate_id AS fx_rate_id,
        f.rate_date AS fx_rate_date,
        f.source_code AS fx_source_code,
        IN_BASE(p.amount, f.base_rate, f.rate) AS amount_base
    FROM stg.file_drop__payment AS p
    LEFT JOIN int.sales__fx_rate AS f
        ON
            p.payment_local_date = f.local_date
            AND p.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
    WHERE p.payment_local_date >= $slice_start AND p.payment_local_date < $slice_end
),

orders AS (
    SELECT
        o.order_key,
        o.order_local_date,
        o.market_code,
        o.country_code,
        ROW_NUMBER() OVER (PARTITION BY o.order_key ORDER BY o.order_local_date) AS day_number
    FROM mart.fct_order AS o
    WHERE o.order_key IN (SELECT p.order_key FROM payments AS p)
),

-- Two entries may have one name: a code that left the configuration stays.
party_names AS (
    SELECT c.name, MIN(c.party_code) AS party_code
    FROM stg.config__party AS c
    GROUP BY c.name
)

SELECT
    p.row_key AS payment_key,
    p.payment_id,
    p.order_key,
    p.split_group_id,
    p.channel_code,
    COALESCE(o.market_code, p.market_code, 'ZZ') AS market_code,
    COALESCE(o.country_code, p.country_code) AS country_code,
    o.order_local_date,
    p.payment_local_date,
    p.paid_at,
    p.status,
    p.payment_kind,
    p.payment_method,
    COALESCE(c.party_code, n.party_code, 'unknown') AS party_code,
    p.party,
    p.channel_code || '/' || p.payer_id AS payer_key,
    CASE
        WHEN p.order_key IS NULL THEN 'order_not_named'
        WHEN o.order_key IS NULL THEN 'order_unknown'
        ELSE 'linked'
    END AS link_status,
    p.currency_code,
    p.amount,
    CAST(p.direction * p.amount AS DECIMAL(18, 4)) AS received_amount,
    p.base_currency_code,
    p.fx_status,
    p.fx_rate_id,
    p.fx_rate_date,
    p.fx_source_code,
    p.amount_base,
    CAST(p.direction * p.amount_base AS DECIMAL(18, 4)) AS received_amount_base
FROM payments AS p
LEFT JOIN orders AS o ON p.order_key = o.order_key AND o.day_number = 1
LEFT JOIN stg.config__party AS c ON p.party = c.party_code
LEFT JOIN party_names AS n ON p.party = n.name
