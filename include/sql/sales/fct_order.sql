-- An order is the sum of its lines; a header adds what only it knows. A header without lines stands
-- as it is: its total, no goods. Grouped by day too, so that the rows of a day never depend on which
-- other days are built with it. Refunds are taken off the order's own day whenever they come, at its rate; one in
-- another currency is not, nor any of an order with no goods left: called off, it is cancelled already. fct_refund
-- names those in net_status.
WITH line_totals AS (
    SELECT
        order_key,
        MIN(channel_code) AS channel_code,
        MIN(market_code) AS market_code,
        MIN(country_code) AS country_code,
        order_local_date,
        MIN(ordered_at) AS ordered_at,
        MIN(customer_key) AS customer_key,
        MIN(flow) AS flow,
        currency_code,
        MIN(base_currency_code) AS base_currency_code,
        MIN(fx_status) AS fx_status,
        MIN(fx_rate_id) AS fx_rate_id,
        MIN(fx_rate_date) AS fx_rate_date,
        MIN(fx_source_code) AS fx_source_code,
        COUNT(*) AS line_count,
        COALESCE(SUM(CASE WHEN line_kind = 'sale' THEN quantity END), 0) AS unit_count,
        SUM(gross_amount) AS gross_amount,
        SUM(cancelled_amount) AS cancelled_amount,
        COALESCE(SUM(CASE WHEN line_kind = 'charge' THEN amount END), 0) AS charge_amount,
        COALESCE(SUM(CASE WHEN line_kind = 'adjustment' THEN amount END), 0) AS adjustment_amount,
        SUM(amount) AS total_amount,
        SUM(gross_amount_base) AS gross_amount_base,
        SUM(cancelled_amount_base) AS cancelled_amount_base,
        SUM(amount_base) AS total_amount_base,
        MAX(
            CASE
                WHEN line_kind = 'sale' OR (line_kind = 'cancellation' AND amount > 0) THEN 2
                WHEN line_kind = 'cancellation' THEN 1
                ELSE 0
            END
        ) AS kind_rank
    FROM mart.fct_order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    -- An order in two currencies has no sum: it comes out twice, and the key check blocks its slice.
    GROUP BY order_key, order_local_date, currency_code
),

line_origins AS (
    SELECT
        channel_code || '/' || order_id AS order_key,
        order_local_date,
        MIN(order_id) AS order_id,
        MIN(customer_id) AS customer_id,
        MIN(status) AS status,
        MIN(utm_source) AS utm_source,
        MIN(utm_medium) AS utm_medium,
        MIN(utm_campaign) AS utm_campaign,
        MIN(click_id) AS click_id,
        MIN(coupon_code) AS coupon_code,
        MIN(referrer_url) AS referrer_url
    FROM stg.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    GROUP BY channel_code || '/' || order_id, order_local_date
),

headers AS (
    SELECT
        h.channel_code || '/' || h.order_id AS order_key,
        h.*,
        $base_currency AS base_currency_code,
        COALESCE(f.fx_status, 'missing') AS fx_status,
        f.rate_id AS fx_rate_id,
        f.rate_date AS fx_rate_date,
        f.source_code AS fx_source_code
    FROM stg.file_drop__order AS h
    LEFT JOIN int.sales__fx_rate AS f
        ON
            h.order_local_date = f.local_date
            AND h.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
    WHERE h.order_local_date >= $slice_start AND h.order_local_date < $slice_end
),

joined AS (
    SELECT
        COALESCE(t.order_key, h.order_key) AS order_key,
        COALESCE(h.channel_code, t.channel_code) AS channel_code,
        COALESCE(h.order_id, o.order_id) AS order_id,
        COALESCE(h.market_code, t.market_code) AS market_code,
        COALESCE(h.country_code, t.country_code) AS country_code,
        COALESCE(t.order_local_date, h.order_local_date) AS order_local_date,
        COALESCE(h.ordered_at, t.ordered_at) AS ordered_at,
        COALESCE(h.channel_code || '/' || h.customer_id, t.customer_key) AS customer_key,
        COALESCE(h.customer_id, o.customer_id) AS customer_id,
        COALESCE(h.flow, t.flow) AS flow,
        COALESCE(h.status, o.status) AS status,
        COALESCE(t.kind_rank, 0) AS kind_rank,
        COALESCE(t.line_count, 0) AS line_count,
        COALESCE(t.unit_count, 0) AS unit_count,
        COALESCE(t.currency_code, h.currency_code) AS currency_code,
        COALESCE(t.gross_amount, 0) AS gross_amount,
        COALESCE(t.cancelled_amount, 0) AS cancelled_amount,
        COALESCE(t.charge_amount, 0) AS charge_amount,
        COALESCE(t.adjustment_amount, 0) AS adjustment_amount,
        COALESCE(t.total_amount, 0) AS total_amount,
        h.total_amount AS header_total_amount,
        COALESCE(t.base_currency_code, h.base_currency_code) AS base_currency_code,
        COALESCE(t.fx_status, h.fx_status) AS fx_status,
        CASE WHEN t.order_key IS NULL THEN h.fx_rate_id ELSE t.fx_rate_id END AS fx_rate_id,
        CASE WHEN t.order_key IS NULL THEN h.fx_rate_date ELSE t.fx_rate_date END AS fx_rate_date,
        CASE WHEN t.order_key IS NULL THEN h.fx_source_code ELSE t.fx_source_code END AS fx_source_code,
        CASE WHEN t.order_key IS NULL AND h.fx_status <> 'missing' THEN 0 ELSE t.gross_amount_base END
            AS gross_amount_base,
        CASE WHEN t.order_key IS NULL AND h.fx_status <> 'missing' THEN 0 ELSE t.cancelled_amount_base END
            AS cancelled_amount_base,
        CASE WHEN t.order_key IS NULL AND h.fx_status <> 'missing' THEN 0 ELSE t.total_amount_base END
            AS total_amount_base,
        COALESCE(h.utm_source, o.utm_source) AS utm_source,
        COALESCE(h.utm_medium, o.utm_medium) AS utm_medium,
        COALESCE(h.utm_campaign, o.utm_campaign) AS utm_campaign,
        COALESCE(h.click_id, o.click_id) AS click_id,
        COALESCE(h.coupon_code, o.coupon_code) AS coupon_code,
        COALESCE(h.referrer_url, o.referrer_url) AS referrer_url
    FROM line_totals AS t
    LEFT JOIN line_origins AS o ON t.order_key = o.order_key AND t.order_local_date = o.order_local_date
    FULL OUTER JOIN headers AS h ON t.order_key = h.order_key AND t.order_local_date = h.order_local_date
),

refunds AS (
    SELECT
        r.order_key,
        r.order_local_date,
        r.currency_code,
        SUM(r.amount) AS amount
    FROM int.sales__refund AS r
    WHERE r.order_key IN (SELECT t.order_key FROM line_totals AS t) AND r.refund_kind = 'sale'
    GROUP BY r.order_key, r.order_local_date, r.currency_code
),

refunded AS (
    SELECT
        j.*,
        CAST(CASE WHEN j.gross_amount > j.cancelled_amount THEN COALESCE(r.amount, 0) ELSE 0 END AS DECIMAL(18, 4))
            AS refunded_amount,
        f.base_rate,
        f.rate
    FROM joined AS j
    LEFT JOIN refunds AS r
        ON
            j.order_key = r.order_key
            AND j.order_local_date = r.order_local_date
            AND j.currency_code = r.currency_code
    LEFT JOIN int.sales__fx_rate AS f
        ON
            j.order_local_date = f.local_date
            AND j.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
),

converted AS (
    SELECT
        r.*,
        CASE
            WHEN r.refunded_amount = 0 AND r.gross_amount_base IS NOT NULL THEN CAST(0 AS DECIMAL(18, 4))
            ELSE IN_BASE(r.refunded_amount, r.base_rate, r.rate)
        END AS refunded_amount_base
    FROM refunded AS r
)

SELECT
    order_key,
    channel_code,
    order_id,
    market_code,
    country_code,
    order_local_date,
    ordered_at,
    customer_key,
    customer_id,
    flow,
    status,
    CASE kind_rank WHEN 2 THEN 'sale' WHEN 1 THEN 'cancellation' ELSE 'other' END AS order_kind,
    line_count,
    unit_count,
    currency_code,
    gross_amount,
    cancelled_amount,
    refunded_amount,
    gross_amount - cancelled_amount - refunded_amount AS net_amount,
    charge_amount,
    adjustment_amount,
    total_amount,
    header_total_amount,
    base_currency_code,
    fx_status,
    fx_rate_id,
    fx_rate_date,
    fx_source_code,
    gross_amount_base,
    cancelled_amount_base,
    refunded_amount_base,
    gross_amount_base - cancelled_amount_base - refunded_amount_base AS net_amount_base,
    total_amount_base,
    utm_source,
    utm_medium,
    utm_campaign,
    click_id,
    coupon_code,
    referrer_url
FROM converted
