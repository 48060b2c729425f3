"""The functions of PostgreSQL that a statement may call: those that only compute. Data.

What is not named here may not be called, so that a new version of the server brings nothing
in. Left out on purpose is whatever reaches beyond its arguments: files, large objects, other
sessions, settings, locks, sequences, notifications, waiting, statements given as text
(`query_to_xml`), and what tells of the server.
"""

from typing import Final

_NUMBERS: Final = """
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees div erf
    exp factorial floor gcd lcm ln log log10 min_scale mod pi pow power radians random
    random_normal round scale sign sin sinh sqrt tan tanh trim_scale trunc width_bucket
    """
_TEXTS: Final = """
    ascii bit_count bit_length btrim casefold char_length character_length chr concat
    concat_ws convert_from convert_to decode encode format get_bit get_byte initcap
    is_normalized left length like like_escape lower lpad ltrim md5 normalize notlike
    octet_length overlay parse_ident position quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right
    rpad rtrim set_bit set_byte sha224 sha256 sha384 sha512 similar_escape
    similar_to_escape split_part starts_with string_to_array string_to_table strpos substr
    substring textcat to_ascii to_bin to_hex to_oct translate unistr upper
    """
_TIMES: Final = """
    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract
    isfinite justify_days justify_hours justify_interval make_date make_interval make_time
    make_timestamp make_timestamptz now overlaps statement_timestamp timezone to_char
    to_date to_number to_timestamp transaction_timestamp
    """
_AGGREGATES: Final = """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop
    covar_samp cume_dist dense_rank every first_value json_agg json_object_agg jsonb_agg
    jsonb_object_agg lag last_value lead max min mode nth_value ntile percent_rank
    percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number
    stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg
    """
_VALUES: Final = """
    array_append array_cat array_dims array_fill array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_sample
    array_shuffle array_to_json array_to_string array_upper cardinality gen_random_uuid
    generate_series generate_subscripts isempty json_array_elements json_array_elements_text
    json_array_length json_build_array json_build_object json_each json_each_text
    json_extract_path json_extract_path_text json_object json_object_keys json_populate_record
    json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
    jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz
    jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
    jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set
    jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof lower_inc
    lower_inf multirange num_nonnulls num_nulls pg_typeof range_merge row_to_json to_json
    to_jsonb unnest upper_inc upper_inf uuid_extract_timestamp uuid_extract_version uuidv4
    uuidv7 array_reverse array_sort daterange datemultirange int4range int4multirange
    int8range int8multirange numrange nummultirange tsrange tsmultirange tstzrange
    tstzmultirange
    """
_SEARCH: Final = """
    array_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip
    to_tsquery to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase
    tsvector_to_array websearch_to_tsquery similarity word_similarity unaccent levenshtein
    soundex metaphone
    """
_PLACES: Final = """
    abbrev area box broadcast center circle diagonal diameter family height host hostmask
    inet_merge inet_same_family isclosed isopen isparallel isperp line lseg masklen netmask
    network npoints path pclose point polygon popen radius set_masklen slope width
    """
# A type with a length, as in `numeric(10, 2)`, is written like a call of its cast.
_CASTS: Final = """
    bit bool bpchar bytea char date float4 float8 int2 int4 int8 interval json jsonb money
    name numeric oid text time timestamp timestamptz timetz uuid varbit varchar xml
    bernoulli system
    """
_NAMES: Final = (_NUMBERS, _TEXTS, _TIMES, _AGGREGATES, _VALUES, _SEARCH, _PLACES, _CASTS)

COMPUTING: Final = frozenset(name for names in _NAMES for name in names.split())
