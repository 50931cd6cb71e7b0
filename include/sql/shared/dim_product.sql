WITH ranked AS (
    SELECT
        product_key,
        product_name,
        ROW_NUMBER() OVER (
            PARTITION BY product_key
            ORDER BY CASE WHEN product_name IS NULL THEN 1 ELSE 0 END, ordered_at DESC, order_line_key DESC
        ) AS recency
    FROM mart.fct_order_line
    WHERE line_kind = 'sale'
),

totals AS (
    SELECT
        product_key,
        MIN(channel_code) AS channel_code,
        MIN(sku) AS sku,
        COUNT(DISTINCT product_name) AS name_count,
        MIN(order_local_date) AS first_sold_local_date,
        MAX(order_local_date) AS last_sold_local_date
    FROM mart.fct_order_line
    WHERE line_kind = 'sale'
    GROUP BY product_key
)

SELECT
    t.product_key,
    t.channel_code,
    t.sku,
    r.product_name,
    t.name_count,
    t.first_sold_local_date,
    t.last_sold_local_date
FROM totals AS t
INNER JOIN ranked AS r ON t.product_key = r.product_key
WHERE r.recency = 1
