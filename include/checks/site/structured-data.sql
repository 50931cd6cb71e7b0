-- What checks of JSON-LD ask.

-- Pages with JSON-LD.
CREATE TEMP VIEW structured_page AS
SELECT html_page.* FROM html_page
SEMI JOIN structured ON html_page.page_key = structured.page_key;

-- Which types each page has.
CREATE TEMP TABLE schema_type AS
SELECT DISTINCT
    page_key,
    UNNEST(types) AS type
FROM structured;

-- Types by the one whose rules they follow.
CREATE TEMP TABLE schema_kind AS
SELECT * FROM (
    VALUES
    ('Product', 'Product'),
    ('Offer', 'Offer'),
    ('AggregateOffer', 'AggregateOffer'),
    ('Review', 'Review'),
    ('CriticReview', 'Review'),
    ('UserReview', 'Review'),
    ('AggregateRating', 'AggregateRating'),
    ('BreadcrumbList', 'BreadcrumbList'),
    ('ListItem', 'ListItem'),
    ('Organization', 'Organization'),
    ('Corporation', 'Organization'),
    ('OnlineBusiness', 'Organization'),
    ('OnlineStore', 'Organization'),
    ('FAQPage', 'FAQPage'),
    ('Question', 'Question'),
    ('Answer', 'Answer'),
    ('Article', 'Article'),
    ('BlogPosting', 'Article'),
    ('NewsArticle', 'Article')
) AS listed (type, kind);

-- What results of Google need of a node: one of `properties`. Without what a shop cannot give by itself, as reviews.
-- place: top for nodes that stand by themselves or are a page's mainEntity, offers for those under `offers`,
-- breadcrumbs, any.
-- Source: developers.google.com/search/docs/appearance/structured-data, the state of December 2025.
CREATE TEMP TABLE schema_property AS
SELECT * FROM (
    VALUES
    ('Product', 'top', TRUE, ['name']),
    ('Product', 'top', TRUE, ['offers', 'review', 'aggregateRating']),
    ('Product', 'top', FALSE, ['image']),
    ('Product', 'top', FALSE, ['description']),
    ('Product', 'top', FALSE, ['brand']),
    ('Product', 'top', FALSE, ['gtin', 'gtin8', 'gtin12', 'gtin13', 'gtin14', 'isbn', 'mpn', 'sku']),
    ('Offer', 'offers', TRUE, ['price', 'priceSpecification']),
    ('Offer', 'offers', TRUE, ['priceCurrency', 'priceSpecification']),
    ('Offer', 'offers', FALSE, ['availability']),
    ('Offer', 'offers', FALSE, ['itemCondition']),
    ('AggregateOffer', 'offers', TRUE, ['lowPrice']),
    ('AggregateOffer', 'offers', TRUE, ['priceCurrency']),
    ('AggregateOffer', 'offers', FALSE, ['highPrice']),
    ('AggregateOffer', 'offers', FALSE, ['offerCount', 'offers']),
    ('Review', 'top', TRUE, ['itemReviewed']),
    ('Review', 'any', TRUE, ['author']),
    ('Review', 'any', TRUE, ['reviewRating']),
    ('Review', 'any', FALSE, ['datePublished']),
    ('AggregateRating', 'top', TRUE, ['itemReviewed']),
    ('AggregateRating', 'any', TRUE, ['ratingValue']),
    ('AggregateRating', 'any', TRUE, ['ratingCount', 'reviewCount']),
    ('BreadcrumbList', 'any', TRUE, ['itemListElement']),
    ('ListItem', 'breadcrumbs', TRUE, ['position']),
    ('ListItem', 'breadcrumbs', TRUE, ['name']),
    ('Organization', 'top', FALSE, ['name']),
    ('Organization', 'top', FALSE, ['url']),
    ('Organization', 'top', FALSE, ['logo']),
    ('Organization', 'top', FALSE, ['address', 'contactPoint', 'email', 'telephone']),
    ('FAQPage', 'any', TRUE, ['mainEntity']),
    ('Question', 'any', TRUE, ['name', 'text']),
    ('Question', 'any', TRUE, ['acceptedAnswer', 'suggestedAnswer']),
    ('Answer', 'any', TRUE, ['text']),
    ('Article', 'top', FALSE, ['headline']),
    ('Article', 'top', FALSE, ['image']),
    ('Article', 'top', FALSE, ['author']),
    ('Article', 'top', FALSE, ['datePublished']),
    ('Article', 'top', FALSE, ['dateModified'])
) AS listed (kind, place, is_required, properties);

-- What Google no longer makes results of, and since when. Source: its search blog, the state of December 2025.
CREATE TEMP TABLE schema_retired AS
SELECT
    type,
    CAST(since AS DATE) AS since,
    what
FROM (
    VALUES
    ('data-vocabulary.org', '2021-01-29', 'any, schema.org took its place'),
    ('FAQPage', '2023-08-08', 'questions and answers, but for known sites of health and government'),
    ('HowTo', '2023-09-13', 'instructions in steps'),
    ('SearchAction', '2024-11-21', 'search box below a site'),
    ('ClaimReview', '2025-06-12', 'fact checks'),
    ('SpecialAnnouncement', '2025-07-31', 'announcements of the pandemic')
) AS listed (type, since, what);

-- Properties that nodes of these kinds lack. An empty value is none; a step of breadcrumbs may be named by its item.
CREATE TEMP TABLE schema_missing AS
WITH kinded AS (
    SELECT
        structured.page_key,
        structured.path,
        UNNEST(structured.types) AS type,
        CASE
            WHEN NOT CONTAINS(REPLACE(REPLACE(structured.path, '.@graph', ''), '.mainEntity', ''), '.') THEN 'top'
            WHEN CONTAINS(structured.path, '.offers') THEN 'offers'
            WHEN CONTAINS(structured.path, '.itemListElement') AND breadcrumbs.page_key IS NOT NULL THEN 'breadcrumbs'
            ELSE 'inside'
        END AS place,
        CASE
            WHEN CONTAINS(structured.path, '.itemListElement') AND JSON_EXISTS(structured.content, '$.item.name')
                THEN LIST_APPEND(JSON_KEYS(structured.content), 'name')
            WHEN REGEXP_MATCHES(structured.content, ':\s*(""|null|\[\]|\{\})')
                THEN LIST_FILTER(
                    LIST_FILTER(JSON_KEYS(structured.content), name -> REGEXP_FULL_MATCH(name, '[@A-Za-z0-9_:.-]+')),
                    name -> JSON_EXTRACT_STRING(structured.content, '$."' || name || '"') NOT IN ('', '[]', '{}')
                )
            ELSE JSON_KEYS(structured.content)
        END AS names
    FROM structured
    LEFT JOIN (
        SELECT DISTINCT
            page_key,
            block
        FROM structured
        WHERE LIST_CONTAINS(types, 'BreadcrumbList')
    ) AS breadcrumbs ON structured.page_key = breadcrumbs.page_key AND structured.block = breadcrumbs.block
    WHERE structured.error IS NULL AND LIST_HAS_ANY(structured.types, (SELECT LIST(schema_kind.type) FROM schema_kind))
)

SELECT
    kinded.page_key,
    kinded.path,
    kinded.type,
    schema_property.is_required,
    ARRAY_TO_STRING(schema_property.properties, ' or ') AS property
FROM kinded
INNER JOIN schema_kind ON kinded.type = schema_kind.type
INNER JOIN schema_property
    ON schema_kind.kind = schema_property.kind AND schema_property.place IN (kinded.place, 'any')
WHERE NOT LIST_HAS_ANY(kinded.names, schema_property.properties);

-- Values of properties that have a form of their own, one a row: of a list each.
CREATE TEMP VIEW schema_value AS
WITH picked AS (
    SELECT
        page_key,
        path,
        UNNEST([
            'price', 'lowPrice', 'highPrice', 'priceCurrency',
            'datePublished', 'dateModified', 'priceValidUntil', 'uploadDate', 'validFrom', 'startDate', 'endDate',
            'url', 'image', 'logo', 'sameAs', 'thumbnailUrl', 'contentUrl'
        ]) AS property,
        UNNEST(JSON_EXTRACT_STRING(content, [
            '$.price', '$.lowPrice', '$.highPrice', '$.priceCurrency',
            '$.datePublished', '$.dateModified', '$.priceValidUntil', '$.uploadDate', '$.validFrom',
            '$.startDate', '$.endDate',
            '$.url', '$.image', '$.logo', '$.sameAs', '$.thumbnailUrl', '$.contentUrl'
        ])) AS value
    FROM structured
    WHERE
        error IS NULL
        AND NOT LIST_HAS_ANY(types, ['ListItem', 'Person', 'Rating', 'AggregateRating', 'Brand', 'Question', 'Answer'])
)

SELECT
    page_key,
    path,
    property,
    UNNEST(
        CASE
            WHEN STARTS_WITH(value, '[') THEN COALESCE(TRY_CAST(TRY_CAST(value AS JSON) AS VARCHAR[]), [value])
            ELSE [value]
        END
    ) AS value
FROM picked
WHERE value IS NOT NULL AND TRIM(value) <> '' AND NOT STARTS_WITH(value, '{');

-- As the inputs call it; NULL for what has no such name, as MadeToOrder.
CREATE TEMP MACRO AVAILABILITY_OF(term) AS
CASE LOWER(REGEXP_EXTRACT(TRIM(term), '[A-Za-z]+$'))
    WHEN 'instock' THEN 'in_stock'
    WHEN 'instoreonly' THEN 'in_stock'
    WHEN 'onlineonly' THEN 'in_stock'
    WHEN 'limitedavailability' THEN 'in_stock'
    WHEN 'outofstock' THEN 'out_of_stock'
    WHEN 'soldout' THEN 'out_of_stock'
    WHEN 'preorder' THEN 'preorder'
    WHEN 'presale' THEN 'preorder'
    WHEN 'backorder' THEN 'backorder'
    WHEN 'discontinued' THEN 'discontinued'
END;

-- Offers of products: what each states, and the numbers that the product goes by. An AggregateOffer spans prices.
-- own: the number of the offer itself, of one variant among others.
CREATE TEMP TABLE offered AS
WITH stated AS (
    SELECT
        page_key,
        block,
        SPLIT_PART(path, '.offers', 1) AS product_path,
        JSON_EXTRACT_STRING(content, [
            '$.price', '$.priceSpecification.price', '$.lowPrice', '$.highPrice',
            '$.priceCurrency', '$.priceSpecification.priceCurrency', '$.availability',
            '$.sku', '$.gtin', '$.gtin13', '$.mpn'
        ]) AS said
    FROM structured
    WHERE LIST_HAS_ANY(types, ['Offer', 'AggregateOffer']) AND CONTAINS(path, '.offers')
),

product AS (
    SELECT
        page_key,
        block,
        path,
        LIST_FILTER(
            JSON_EXTRACT_STRING(content, [
                '$.sku', '$.productID', '$.gtin', '$.gtin8', '$.gtin12', '$.gtin13', '$.gtin14', '$.mpn'
            ]),
            number -> number <> ''
        ) AS numbers
    FROM structured
    WHERE LIST_HAS_ANY(types, ['Product', 'IndividualProduct', 'ProductModel'])
)

SELECT
    stated.page_key,
    stated.block,
    stated.product_path,
    COALESCE(stated.said[8], stated.said[9], stated.said[10], stated.said[11]) AS own,
    CASE
        WHEN COALESCE(stated.said[8], stated.said[9], stated.said[10], stated.said[11]) IS NULL THEN product.numbers
        ELSE LIST_FILTER(stated.said[8:11], number -> number <> '')
    END AS numbers,
    TRY_CAST(COALESCE(stated.said[1], stated.said[2], stated.said[3]) AS DECIMAL(18, 4)) AS price,
    TRY_CAST(COALESCE(stated.said[1], stated.said[2], stated.said[4], stated.said[3]) AS DECIMAL(18, 4))
        AS highest_price,
    NULLIF(REGEXP_EXTRACT(COALESCE(stated.said[5], stated.said[6]), '^\s*([A-Z]{3})\s*$', 1), '') AS currency_code,
    AVAILABILITY_OF(stated.said[7]) AS availability
FROM stated
INNER JOIN product
    ON stated.page_key = product.page_key AND stated.block = product.block AND stated.product_path = product.path;

-- Prices that a page's reader sees, where they could all be noted: 20 a page.
CREATE TEMP TABLE visible_price AS
SELECT
    page_key,
    LIST(DISTINCT amount ORDER BY amount) AS amounts,
    LIST(DISTINCT value ORDER BY value)[:5] AS written,
    LIST_DISTINCT(FLATTEN(LIST(currency_codes))) AS currency_codes
FROM mark
WHERE name = 'visible-price'
GROUP BY page_key
HAVING SUM(count) < 20;

CREATE TEMP VIEW page_with_both_prices AS
SELECT html_page.* FROM html_page
SEMI JOIN visible_price ON html_page.page_key = visible_price.page_key
SEMI JOIN offered ON html_page.page_key = offered.page_key AND offered.price IS NOT NULL;

CREATE TEMP VIEW page_with_both_currencies AS
SELECT html_page.* FROM html_page
SEMI JOIN visible_price ON html_page.page_key = visible_price.page_key
SEMI JOIN offered ON html_page.page_key = offered.page_key AND offered.currency_code IS NOT NULL;

-- Availability of pages that say one thing to readers and one in JSON-LD.
CREATE TEMP TABLE stated_availability AS
SELECT
    visible.page_key,
    visible.availability AS visible,
    offered_once.availability AS stated
FROM (
    SELECT
        page_key,
        MIN(value) AS availability
    FROM mark
    WHERE name = 'visible-availability'
    GROUP BY page_key
    HAVING COUNT(DISTINCT value) = 1
) AS visible
INNER JOIN (
    SELECT
        page_key,
        MIN(availability) AS availability
    FROM offered
    GROUP BY page_key
    HAVING COUNT(DISTINCT availability) = 1
) AS offered_once ON visible.page_key = offered_once.page_key;

CREATE TEMP VIEW page_with_both_availabilities AS
SELECT html_page.* FROM html_page
SEMI JOIN stated_availability ON html_page.page_key = stated_availability.page_key;

-- What the warehouse said of offered products when their page was asked for.
CREATE TEMP TABLE warehouse_price AS
SELECT
    offered.page_key,
    offered.block,
    offered.product_path,
    offered.own,
    price.sku,
    MIN(offered.price) AS lowest_price,
    LIST(
        DISTINCT {
            'price': offered.price,
            'highest_price': offered.highest_price,
            'currency_code': offered.currency_code
        }
    ) AS stated,
    MAX_BY(price.price, COALESCE(price.valid_from, TIMESTAMP '0001-01-01')) AS price,
    MAX_BY(price.currency_code, COALESCE(price.valid_from, TIMESTAMP '0001-01-01')) AS currency_code
FROM (SELECT *, UNNEST(numbers) AS number FROM offered WHERE price IS NOT NULL) AS offered
INNER JOIN address ON offered.page_key = address.page_key
INNER JOIN price
    ON
        offered.number = price.sku
        AND address.market_code = price.market_code
        AND COALESCE(price.valid_from <= address.requested_at, TRUE)
GROUP BY offered.page_key, offered.block, offered.product_path, offered.own, price.sku;

CREATE TEMP VIEW page_with_known_price AS
SELECT html_page.* FROM html_page
SEMI JOIN warehouse_price ON html_page.page_key = warehouse_price.page_key;

CREATE TEMP TABLE warehouse_stock AS
SELECT
    offered.page_key,
    offered.block,
    offered.product_path,
    offered.own,
    stock.sku,
    LIST(DISTINCT offered.availability ORDER BY offered.availability) AS stated,
    MAX_BY(stock.availability, COALESCE(stock.valid_from, TIMESTAMP '0001-01-01')) AS availability
FROM (SELECT *, UNNEST(numbers) AS number FROM offered WHERE availability IS NOT NULL) AS offered
INNER JOIN address ON offered.page_key = address.page_key
INNER JOIN stock
    ON
        offered.number = stock.sku
        AND address.market_code = stock.market_code
        AND COALESCE(stock.valid_from <= address.requested_at, TRUE)
GROUP BY offered.page_key, offered.block, offered.product_path, offered.own, stock.sku;

CREATE TEMP VIEW page_with_known_stock AS
SELECT html_page.* FROM html_page
SEMI JOIN warehouse_stock ON html_page.page_key = warehouse_stock.page_key;

CREATE TEMP VIEW rated_page AS
SELECT html_page.* FROM html_page
SEMI JOIN schema_type ON html_page.page_key = schema_type.page_key AND schema_type.type = 'AggregateRating';
