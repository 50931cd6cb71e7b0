-- What checks of texts ask.

-- What was sent as HTML, also where it was cut off.
CREATE TEMP VIEW html_answer AS
SELECT * FROM ok_page
WHERE is_html;

-- Pages that search engines choose between: those with a text, as their own canonical.
CREATE TEMP VIEW indexable_text AS
SELECT * FROM indexable
WHERE character_count > 0 AND text_hash IS NOT NULL;

-- Pages whose text is long enough to tell its language, and that say in which it should be.
CREATE TEMP VIEW stated_text AS
SELECT * FROM html_page
WHERE
    detected_language IS NOT NULL
    AND character_count >= 200
    AND (TRIM(language_code) <> '' OR market_code IN (SELECT market_language.market_code FROM market_language));

-- Pages with prose, in languages that LIX (Björnsson 1968) is known for. Where sentences seem to have more than 40 words
-- on average they are lists in one block.
CREATE TEMP VIEW readable_text AS
SELECT * FROM indexable
WHERE
    prose_word_count >= 100
    AND prose_word_count <= 40 * sentence_count
    AND LANGUAGE_OF(COALESCE(detected_language, language_code))
    IN ('da', 'de', 'en', 'es', 'fr', 'it', 'nl', 'no', 'pt', 'sv');

CREATE TEMP VIEW article_page AS
SELECT * FROM html_page
WHERE
    page_key IN (
        SELECT structured.page_key FROM structured
        WHERE LIST_HAS_ANY(structured.types, ['Article', 'NewsArticle', 'BlogPosting', 'TechArticle', 'Report'])
        UNION ALL
        SELECT meta.page_key FROM meta
        WHERE meta.name = 'og:type' AND LOWER(TRIM(meta.content)) = 'article'
    );

-- Pages in other languages than the one that their set names for everybody else: what it was translated from.
CREATE TEMP TABLE translation AS
SELECT
    alternate.page_key,
    MIN(alternate.target_key) AS source_key
FROM alternate
INNER JOIN indexable AS source ON alternate.target_key = source.page_key
INNER JOIN indexable AS translated ON alternate.page_key = translated.page_key
WHERE
    alternate.is_default
    AND alternate.page_key <> alternate.target_key
    AND LANGUAGE_OF(translated.language_code) <> LANGUAGE_OF(source.language_code)
GROUP BY alternate.page_key
HAVING COUNT(DISTINCT alternate.target_key) = 1;

-- Their blocks of text, each with whether the source has the same.
CREATE TEMP TABLE translated_passage AS
SELECT
    translation.page_key,
    COUNT(*) AS passage_count,
    COUNT(source.text_hash) AS same_count
FROM translation
INNER JOIN passage ON translation.page_key = passage.page_key
LEFT JOIN (SELECT DISTINCT page_key, text_hash FROM passage) AS source
    ON translation.source_key = source.page_key AND passage.text_hash = source.text_hash
GROUP BY translation.page_key;

CREATE TEMP VIEW translated_page AS
SELECT indexable.* FROM indexable
SEMI JOIN translated_passage ON indexable.page_key = translated_passage.page_key;
