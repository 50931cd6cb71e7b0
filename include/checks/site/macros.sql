-- What checks and their views reckon with: parts of addresses, lengths of texts, languages of tags.

CREATE TEMP MACRO PATH_OF(address) AS REGEXP_EXTRACT(address, '^[a-z]+://[^/?#]*([^?#]*)', 1);

CREATE TEMP MACRO QUERY_OF(address) AS REGEXP_EXTRACT(address, '^[^?#]*\?([^#]*)', 1);

-- Whether a path lies below a prefix. One that ends in a letter or digit ends a whole part of the path: below `/de` are
-- `/de` and `/de/pots`, and not `/design`.
CREATE TEMP MACRO IS_BELOW(path, prefix) AS
STARTS_WITH(path, prefix)
AND (
    NOT REGEXP_MATCHES(prefix, '[\pL\pN]$')
    OR SUBSTR(path, LENGTH(prefix) + 1, 1) IN ('', '/')
);

-- What an issue is about, whichever spelling of a page's address the crawl met first.
CREATE TEMP MACRO PLACE_OF(page_key, url) AS COALESCE(CAST(page_key AS VARCHAR), url);

CREATE TEMP MACRO HOSTNAME_OF(host) AS REGEXP_REPLACE(host, ':[0-9]+$', '');

-- Characters as a reader counts them: without marks that stand on others, as in Thai. ASCII has none, and no time is
-- spent on looking for them.
CREATE TEMP MACRO CHARACTERS_OF(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words) THEN LENGTH(words)
    ELSE LENGTH(REGEXP_REPLACE(words, '\p{M}', '', 'g'))
END;

-- Characters that are twice as wide as Latin ones, with what stands between them.
CREATE TEMP MACRO WIDE_OF(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words) THEN 0
    ELSE
        LENGTH(
            REGEXP_REPLACE(
                words,
                '[^\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\x{3000}-\x{303F}\x{30FC}\x{FF00}-\x{FFEF}]',
                '',
                'g'
            )
        )
END;

-- What part of the room for so many Latin, or so many wide characters a text takes: titles have both.
CREATE TEMP MACRO ROOM_OF(words, latin, wide) AS
(CHARACTERS_OF(words) - WIDE_OF(words)) / latin + WIDE_OF(words) / wide;

-- Two texts that a reader takes for the same.
CREATE TEMP MACRO SAME_WORDS(words) AS
CASE
    WHEN STRLEN(words) = LENGTH(words)
        THEN
            TRIM(
                REGEXP_REPLACE(
                    TRANSLATE(LOWER(words), '!"#%&''()*,-./:;?@[\]_{}', REPEAT(' ', 23)), ' {2,}', ' ', 'g'
                )
            )
    ELSE TRIM(REGEXP_REPLACE(LOWER(NFC_NORMALIZE(words)), '[\s\p{P}]+', ' ', 'g'))
END;

-- ISO 639-1 of a tag, as far as detection tells languages apart.
CREATE TEMP MACRO LANGUAGE_OF(tag) AS
CASE SPLIT_PART(LOWER(tag), '-', 1)
    WHEN 'nb' THEN 'no'
    WHEN 'nn' THEN 'no'
    WHEN 'iw' THEN 'he'
    WHEN 'in' THEN 'id'
    WHEN 'ms' THEN 'id'
    WHEN 'bs' THEN 'hr'
    WHEN 'sr' THEN 'hr'
    WHEN 'sh' THEN 'hr'
    WHEN 'fil' THEN 'tl'
    WHEN 'cmn' THEN 'zh'
    WHEN 'yue' THEN 'zh'
    ELSE SPLIT_PART(LOWER(tag), '-', 1)
END;
