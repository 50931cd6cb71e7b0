WITH ranked AS (
    SELECT
        customer_key,
        market_code,
        country_code,
        ROW_NUMBER() OVER (
            PARTITION BY customer_key ORDER BY ordered_at DESC, order_local_date DESC, order_key DESC
        ) AS recency
    FROM mart.fct_order
    WHERE customer_key IS NOT NULL
),

totals AS (
    SELECT
        customer_key,
        MIN(channel_code) AS channel_code,
        MIN(customer_id) AS customer_id,
        COUNT(DISTINCT country_code) AS country_count,
        COUNT(DISTINCT CASE WHEN order_kind = 'sale' THEN order_key END) AS order_count,
        MIN(order_local_date) FILTER (WHERE order_kind = 'sale') AS first_order_local_date,
        MAX(order_local_date) FILTER (WHERE order_kind = 'sale') AS last_order_local_date
    FROM mart.fct_order
    WHERE customer_key IS NOT NULL
    GROUP BY customer_key
)

SELECT
    t.customer_key,
    t.channel_code,
    t.customer_id,
    r.market_code,
    r.country_code,
    t.country_count,
    t.order_count,
    t.first_order_local_date,
    t.last_order_local_date
FROM totals AS t
INNER JOIN ranked AS r ON t.customer_key = r.customer_key
WHERE r.recency = 1
