-- What checks of structured data ask.

-- Pages with JSON-LD or microdata.
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
    ('ProductGroup', 'ProductGroup'),
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
    ('Rating', 'Rating'),
    ('QAPage', 'QAPage'),
    ('Question', 'Question'),
    ('Answer', 'Answer'),
    ('Article', 'Article'),
    ('BlogPosting', 'Article'),
    ('NewsArticle', 'Article')
) AS listed (type, kind);

-- What results of Google need of a node: one of `properties`. `page`: which page of its documentation says so, below
-- developers.google.com/search/docs/appearance/structured-data/. Those pages as they stood in September 2026; checked
-- on 2026-11-22. Left out is what a shop cannot give by itself, as reviews, and what they ask for only where it
-- applies, as priceValidUntil, dateModified, and policies of delivery and return.
-- place: top for nodes that stand by themselves, are a mainEntity or a variant of a group; sold for those of them
-- that have offers of their own, which may be listed as a merchant's (an AggregateOffer is of others); offers for those
-- under `offers`; breadcrumbs, qapage, review for those inside such a node; any.
CREATE TEMP TABLE schema_property AS
SELECT * FROM (
    VALUES
    ('Product', 'top', TRUE, ['name'], 'product-snippet'),
    ('Product', 'top', TRUE, ['offers', 'review', 'aggregateRating'], 'product-snippet'),
    ('Product', 'sold', TRUE, ['image'], 'merchant-listing'),
    ('Product', 'sold', FALSE, ['description'], 'merchant-listing'),
    ('Product', 'sold', FALSE, ['brand'], 'merchant-listing'),
    (
        'Product',
        'sold',
        FALSE,
        ['gtin', 'gtin8', 'gtin12', 'gtin13', 'gtin14', 'isbn', 'mpn', 'sku'],
        'merchant-listing'
    ),
    ('ProductGroup', 'top', TRUE, ['name'], 'product-variants'),
    ('ProductGroup', 'top', FALSE, ['productGroupID'], 'product-variants'),
    ('ProductGroup', 'top', FALSE, ['description'], 'product-variants'),
    ('ProductGroup', 'top', FALSE, ['brand'], 'product-variants'),
    ('Offer', 'offers', TRUE, ['price', 'priceSpecification'], 'merchant-listing'),
    ('Offer', 'offers', TRUE, ['priceCurrency', 'priceSpecification'], 'merchant-listing'),
    ('Offer', 'offers', FALSE, ['availability'], 'merchant-listing'),
    ('Offer', 'offers', FALSE, ['itemCondition'], 'merchant-listing'),
    ('AggregateOffer', 'offers', TRUE, ['lowPrice'], 'product-snippet'),
    ('AggregateOffer', 'offers', TRUE, ['priceCurrency'], 'product-snippet'),
    ('AggregateOffer', 'offers', FALSE, ['highPrice'], 'product-snippet'),
    ('AggregateOffer', 'offers', FALSE, ['offerCount'], 'product-snippet'),
    ('Review', 'top', TRUE, ['itemReviewed'], 'review-snippet'),
    ('Review', 'any', TRUE, ['author'], 'review-snippet'),
    -- A list of pros and cons is a review without stars.
    ('Review', 'any', TRUE, ['reviewRating', 'positiveNotes', 'negativeNotes'], 'review-snippet'),
    ('Review', 'any', FALSE, ['datePublished'], 'review-snippet'),
    ('Rating', 'review', TRUE, ['ratingValue'], 'review-snippet'),
    ('AggregateRating', 'top', TRUE, ['itemReviewed'], 'review-snippet'),
    ('AggregateRating', 'any', TRUE, ['ratingValue'], 'review-snippet'),
    ('AggregateRating', 'any', TRUE, ['ratingCount', 'reviewCount'], 'review-snippet'),
    ('BreadcrumbList', 'any', TRUE, ['itemListElement'], 'breadcrumb'),
    ('ListItem', 'breadcrumbs', TRUE, ['position'], 'breadcrumb'),
    ('ListItem', 'breadcrumbs', TRUE, ['name'], 'breadcrumb'),
    ('ListItem', 'breadcrumbs', TRUE, ['item'], 'breadcrumb'),
    ('Organization', 'top', FALSE, ['name', 'alternateName'], 'organization'),
    ('Organization', 'top', FALSE, ['url'], 'organization'),
    ('Organization', 'top', FALSE, ['logo'], 'organization'),
    ('Organization', 'top', FALSE, ['address', 'contactPoint', 'email', 'telephone'], 'organization'),
    ('QAPage', 'any', TRUE, ['mainEntity'], 'qapage'),
    ('Question', 'qapage', TRUE, ['name'], 'qapage'),
    ('Question', 'qapage', TRUE, ['answerCount'], 'qapage'),
    ('Question', 'qapage', TRUE, ['acceptedAnswer', 'suggestedAnswer'], 'qapage'),
    ('Answer', 'qapage', TRUE, ['text'], 'qapage'),
    ('Article', 'top', FALSE, ['headline'], 'article'),
    ('Article', 'top', FALSE, ['image'], 'article'),
    ('Article', 'top', FALSE, ['author'], 'article'),
    ('Article', 'top', FALSE, ['datePublished'], 'article')
) AS listed (kind, place, is_required, properties, page);

-- What Google no longer makes results of, since when, and where it says so, below developers.google.com/search/;
-- checked on 2026-11-22. Not here are types that results of other kinds still use: Car, Course, Quiz, LearningResource
-- and VideoObject of the vehicle listings, course infos, practice problems and learning videos that went, too.
CREATE TEMP TABLE schema_retired AS
SELECT
    type,
    CAST(since AS DATE) AS since,
    what,
    'https://developers.google.com/search/' || page AS source
FROM (
    VALUES
    ('data-vocabulary.org', '2021-01-29', 'any, schema.org took its place', 'blog/2020/01/data-vocabulary'),
    ('HowTo', '2023-09-13', 'instructions in steps', 'blog/2023/08/howto-faq-changes'),
    ('SearchAction', '2024-11-21', 'search box below a site', 'blog/2024/10/sitelinks-search-box'),
    ('ClaimReview', '2025-09-09', 'fact checks', 'blog/2025/06/simplifying-search-results'),
    ('SpecialAnnouncement', '2025-09-09', 'announcements', 'blog/2025/06/simplifying-search-results'),
    (
        'OccupationAggregationByEmployer',
        '2025-09-09',
        'estimated salaries',
        'blog/2025/06/simplifying-search-results'
    ),
    ('Dataset', '2025-11-05', 'data sets, which Dataset Search alone still lists', 'updates#simplification-nov'),
    ('FAQPage', '2026-05-07', 'questions and answers', 'updates#faq-deprecation')
) AS listed (type, since, what, page);

CREATE TEMP MACRO IS_VARIANT(content) AS
CONTAINS(content, '"isVariantOf"') OR CONTAINS(content, '"inProductGroupWithID"');

-- A variant of a product that another page describes. CASE: most nodes are none, and their JSON need not be read.
CREATE TEMP MACRO IS_VARIANT_ELSEWHERE(path, content) AS
CASE
    WHEN CONTAINS(path, '.hasVariant') OR IS_VARIANT(content)
        THEN
            LEN(
                LIST_FILTER(
                    JSON_KEYS(content),
                    name -> NOT STARTS_WITH(name, '@') AND name NOT IN ('url', 'isVariantOf', 'inProductGroupWithID')
                )
            ) = 0
    ELSE FALSE
END;

-- What stands in a block with such a node has rules of its own. last_steps: paths of the last node of each list.
CREATE TEMP TABLE schema_around AS
SELECT
    page_key,
    block,
    BOOL_OR(is_breadcrumbs) AS has_breadcrumbs,
    BOOL_OR(is_questions) AS has_questions,
    LIST(last_step) AS last_steps
FROM (
    SELECT
        page_key,
        block,
        BOOL_OR(LIST_CONTAINS(types, 'BreadcrumbList')) AS is_breadcrumbs,
        BOOL_OR(LIST_CONTAINS(types, 'QAPage')) AS is_questions,
        MAX_BY(path, TRY_CAST(REGEXP_EXTRACT(path, '\[([0-9]+)\]$', 1) AS INTEGER))
            FILTER (WHERE REGEXP_MATCHES(path, '\.itemListElement\[[0-9]+\]$')) AS last_step
    FROM structured
    WHERE LIST_HAS_ANY(types, ['BreadcrumbList', 'ListItem', 'QAPage'])
    GROUP BY page_key, block, REGEXP_REPLACE(path, '\[[0-9]+\]$', '')
)
GROUP BY page_key, block
HAVING BOOL_OR(is_breadcrumbs) OR BOOL_OR(is_questions);

-- Properties that a node has. An empty value is none.
CREATE TEMP MACRO NAMES_OF(content) AS
CASE
    WHEN REGEXP_MATCHES(content, ':\s*(""|null|\[\]|\{\})')
        THEN
            LIST_FILTER(
                LIST_FILTER(JSON_KEYS(content), name -> REGEXP_FULL_MATCH(name, '[@A-Za-z0-9_:.-]+')),
                name -> JSON_EXTRACT_STRING(content, '$."' || name || '"') NOT IN ('', '[]', '{}')
            )
    ELSE JSON_KEYS(content)
END;

-- Properties that nodes of these kinds lack. A step of breadcrumbs may be named by its item, and the last step needs
-- none; a question may have no answer yet; a variant's brand may be its group's, and a variant that is on another page
-- is an address and nothing else.
CREATE TEMP TABLE schema_missing AS
WITH named AS (
    SELECT
        structured.page_key,
        structured.path,
        structured.syntax,
        structured.content,
        UNNEST(structured.types) AS type,
        NAMES_OF(structured.content) AS names,
        CONTAINS(structured.path, '.hasVariant') OR IS_VARIANT(structured.content) AS is_variant,
        COALESCE(around.has_questions, FALSE) AS is_of_qapage,
        around.last_steps,
        CASE
            WHEN
                NOT CONTAINS(
                    REPLACE(REPLACE(REPLACE(structured.path, '.@graph', ''), '.mainEntity', ''), '.hasVariant', ''), '.'
                )
                THEN 'top'
            WHEN CONTAINS(structured.path, '.offers') THEN 'offers'
            WHEN CONTAINS(structured.path, '.itemListElement') AND around.has_breadcrumbs THEN 'breadcrumbs'
            WHEN REGEXP_MATCHES(structured.path, '\.reviewRating(\[[0-9]+\])?$') THEN 'review'
            ELSE 'inside'
        END AS place
    FROM structured
    LEFT JOIN schema_around AS around
        ON structured.page_key = around.page_key AND structured.block = around.block
    WHERE
        structured.error IS NULL
        AND LIST_HAS_ANY(structured.types, (SELECT LIST(schema_kind.type) FROM schema_kind))
        AND NOT IS_VARIANT_ELSEWHERE(structured.path, structured.content)
),

kinded AS (
    SELECT
        page_key,
        path,
        syntax,
        type,
        place,
        is_of_qapage,
        NOT CONTAINS(content, 'AggregateOffer') AS may_be_sold,
        CASE
            WHEN place = 'breadcrumbs'
                THEN
                    LIST_CONCAT(
                        names,
                        CASE WHEN JSON_EXISTS(content, '$.item.name') THEN ['name'] ELSE [] END,
                        CASE WHEN LIST_CONTAINS(last_steps, path) THEN ['item'] ELSE [] END
                    )
            WHEN is_variant THEN LIST_APPEND(names, 'brand')
            WHEN is_of_qapage AND JSON_EXTRACT_STRING(content, '$.answerCount') = '0'
                THEN LIST_APPEND(names, 'suggestedAnswer')
            ELSE names
        END AS names
    FROM named
)

SELECT
    kinded.page_key,
    kinded.path,
    kinded.syntax,
    kinded.type,
    schema_property.is_required,
    ARRAY_TO_STRING(schema_property.properties, ' or ') AS property,
    'https://developers.google.com/search/docs/appearance/structured-data/' || schema_property.page AS source
FROM kinded
INNER JOIN schema_kind ON kinded.type = schema_kind.type
INNER JOIN schema_property
    ON
        schema_kind.kind = schema_property.kind
        AND CASE schema_property.place
            WHEN 'any' THEN TRUE
            WHEN 'sold' THEN kinded.place = 'top' AND kinded.may_be_sold AND LIST_CONTAINS(kinded.names, 'offers')
            WHEN 'qapage' THEN kinded.is_of_qapage
            ELSE schema_property.place = kinded.place
        END
WHERE NOT LIST_HAS_ANY(kinded.names, schema_property.properties);

-- Values of properties that have a form of their own, one a row: of a list each.
CREATE TEMP VIEW schema_value AS
WITH picked AS (
    SELECT
        page_key,
        path,
        syntax,
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
    syntax,
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

-- Products, and the numbers that each goes by.
CREATE TEMP TABLE numbered_product AS
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
WHERE LIST_HAS_ANY(types, ['Product', 'IndividualProduct', 'ProductModel']);

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
INNER JOIN numbered_product AS product
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
