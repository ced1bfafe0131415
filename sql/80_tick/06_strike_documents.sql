-- Documents of the strikes: a row as it stands in the JSON files, with the predecessor's keys.

CREATE FUNCTION upc._json_number(value double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(upc._hundredths(_json_number.value)::text, 'null');
COMMENT ON FUNCTION upc._json_number IS
    'a number as it stands in the JSON documents, with two decimals';


CREATE FUNCTION upc._json_quoted(value numeric)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce('"' || _json_quoted.value::text || '"', 'null');
COMMENT ON FUNCTION upc._json_quoted IS
    'an exact number as it stands in the JSON documents: a text';


CREATE FUNCTION upc._json_list(elements text[])
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ('[' || array_to_string(_json_list.elements, ', ') || ']')::json;
COMMENT ON FUNCTION upc._json_list IS
    'JSON texts as a list; NULL of NULL';


-- Texts by their ranks, the highest first; equal ones in the order that they are in.
CREATE FUNCTION upc._ranked(elements text[], ranks double precision[])
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_ranked text[] := '{}';
    v_ranks double precision[] := '{}';
    v_place integer;
BEGIN
    -- The list is short: what sorts more quickly takes longer to begin.
    FOR v_n IN 1..coalesce(cardinality(elements), 0) LOOP
        v_place := v_n - 1;
        WHILE v_place > 0 AND v_ranks[v_place] < ranks[v_n] LOOP
            v_ranks[v_place + 1] := v_ranks[v_place];
            v_ranked[v_place + 1] := v_ranked[v_place];
            v_place := v_place - 1;
        END LOOP;
        v_ranks[v_place + 1] := ranks[v_n];
        v_ranked[v_place + 1] := elements[v_n];
    END LOOP;
    RETURN v_ranked;
END
$fn$;
COMMENT ON FUNCTION upc._ranked IS
    'texts by their ranks, the highest first';


-- The strikes of a tick as JSON, from one call of compute_strikes.
--
-- Arguments as in _row_terms_of; min_probability and min_differential, in percent, are what the
-- watchlist asks for. Probabilities, moves, buffers and differences have two decimals. edge_reason is
-- NULL where a row has an edge, else the reason of the row that is short of least.
--
-- Row by row, and each row as one text: a query with that many expressions takes longer to set up than
-- to answer.
CREATE FUNCTION upc._strike_documents(
    question upc._question,
    event upc._event,
    price_state text,
    min_probability double precision,
    min_differential double precision,
    OUT fingerprint text,
    OUT strikes double precision[],
    OUT prob_above double precision[],
    OUT yes_ask numeric[],
    OUT no_ask numeric[],
    OUT probabilities json,
    OUT strike_rows json,
    OUT watched_rows json,
    OUT edge_reason text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_terms upc._row_terms := upc._row_terms_of(question, event, price_state);
    t record;
    v_beyond double precision;
    v_within double precision;
    v_shown_strike text;
    v_shown_buffer text;
    v_shown_beyond text;
    v_shown_within text;
    v_yes_cents integer;
    v_no_cents integer;
    v_yes_diff double precision;
    v_no_diff double precision;
    v_yes_edge double precision;
    v_no_edge double precision;
    v_reason text;
    v_has_edge boolean := false;
    v_row text;
    v_answer text;
    v_rows text[];
    v_answers text[];
    v_watched text[];
    v_ranks double precision[];
BEGIN
    FOR t IN
        SELECT s.* FROM upc._quoted_strikes(question, event, v_terms) AS s
        ORDER BY s.buffer, s.strike
    LOOP
        v_beyond := upc._hundredths(t.prob_beyond);
        v_within := upc._hundredths(100 - v_beyond);
        v_shown_strike := t.strike;
        v_shown_buffer := upc._exact_hundredths(t.buffer);
        v_shown_beyond := coalesce(v_beyond::text, 'null');
        v_shown_within := coalesce(v_within::text, 'null');
        v_yes_cents := upc._whole_cents(t.yes_ask, t.whole_yes);
        v_no_cents := upc._whole_cents(t.no_ask, t.whole_no);
        IF v_terms.has_edge AND t.status = 'active' AND t.prob_above IS NOT NULL
            AND (t.yes_ask IS NOT NULL OR t.no_ask IS NOT NULL)
        THEN
            v_reason := NULL;
            v_has_edge := true;
            v_yes_diff := CASE WHEN t.is_above THEN v_beyond ELSE v_within END - v_yes_cents;
            v_no_diff := CASE WHEN t.is_above THEN v_within ELSE v_beyond END - v_no_cents;
            v_yes_edge := upc._edge(
                t.prob_above,
                upc._quick_contract_cost(t.yes_ask, t.whole_yes, v_terms.edge_order)
            );
            v_no_edge := upc._edge(
                100 - t.prob_above,
                upc._quick_contract_cost(t.no_ask, t.whole_no, v_terms.edge_order)
            );
        ELSE
            v_reason := upc.edge_reason(
                closed => upc._trading_state(t.status) = 'closed',
                paused => upc._trading_state(t.status) = 'paused',
                price_stale => v_terms.price_stale,
                quotes_stale => v_terms.quotes_stale,
                no_model => t.prob_above IS NULL,
                last_minute => v_terms.is_unseen,
                no_offer => true
            );
            -- Of all the rows together: what the best of them is short of.
            edge_reason := (upc.edge_reasons())[greatest(
                array_position(upc.edge_reasons(), edge_reason),
                array_position(upc.edge_reasons(), v_reason)
            )];
            v_yes_diff := NULL;
            v_no_diff := NULL;
            v_yes_edge := NULL;
            v_no_edge := NULL;
        END IF;
        v_row := format(
            '{"strike":%s,"buffer":%s,"buffer_pct":%s,"probability":%s,"yes_ask":%s'
            ',"no_ask":%s,"yes_diff":%s,"no_diff":%s,"volume":%s,"ticker":%s'
            ',"active_side":%s,"yes_ask_dollars":%s,"no_ask_dollars":%s,"yes_bid_dollars":%s'
            ',"no_bid_dollars":%s,"yes_edge":%s,"no_edge":%s,"prob_above":%s'
            ',"sample_size":%s,"prob_low":%s,"prob_high":%s,"edge_reason":%s}',
            v_shown_strike,
            v_shown_buffer,
            upc._exact_hundredths(t.buffer / question.step),
            v_shown_within,
            coalesce(v_yes_cents::text, 'null'),
            coalesce(v_no_cents::text, 'null'),
            upc._json_number(v_yes_diff),
            upc._json_number(v_no_diff),
            coalesce(trim_scale(t.volume)::text, 'null'),
            coalesce(to_json(t.ticker)::text, 'null'),
            CASE WHEN t.is_above THEN '"no"' ELSE '"yes"' END,
            upc._json_quoted(t.yes_ask),
            upc._json_quoted(t.no_ask),
            upc._json_quoted(t.yes_bid),
            upc._json_quoted(t.no_bid),
            upc._json_number(v_yes_edge),
            upc._json_number(v_no_edge),
            CASE WHEN t.is_above THEN v_shown_beyond ELSE upc._json_number(t.prob_above) END,
            coalesce(t.sample_size::text, 'null'),
            upc._json_number(t.prob_low),
            upc._json_number(t.prob_high),
            coalesce('"' || v_reason || '"', 'null')
        );
        v_answer := format(
            '{"strike":%s,"buffer":%s,"move_percent":%s,"prob_beyond":%s,"prob_within":%s'
            ',"direction":%s,"positive_prob":%s,"negative_prob":%s}',
            v_shown_strike,
            v_shown_buffer,
            upc._json_number(t.move_percent),
            v_shown_beyond,
            v_shown_within,
            CASE WHEN t.is_above THEN '"above"' ELSE '"below"' END,
            CASE WHEN t.is_above THEN v_shown_beyond ELSE upc._json_number(t.positive_prob) END,
            CASE WHEN t.is_above THEN upc._json_number(t.negative_prob) ELSE v_shown_beyond END
        );
        v_rows := v_rows || v_row;
        -- Rows come from the price outwards: to those before it each is the highest or the lowest.
        IF t.is_above THEN
            strikes := strikes || t.strike;
            prob_above := prob_above || t.prob_above;
            yes_ask := yes_ask || t.yes_ask;
            no_ask := no_ask || t.no_ask;
            v_answers := v_answers || v_answer;
        ELSE
            strikes := t.strike || strikes;
            prob_above := t.prob_above || prob_above;
            yes_ask := t.yes_ask || yes_ask;
            no_ask := t.no_ask || no_ask;
            v_answers := v_answer || v_answers;
        END IF;
        IF v_reason IS NULL
            AND t.volume >= 1000
            AND v_within > min_probability - 5
            AND v_yes_cents <= 98
            AND v_no_cents <= 98
            AND (
                upc._hundredths(v_yes_diff) >= min_differential - 3
                OR upc._hundredths(v_no_diff) >= min_differential - 3
            )
        THEN
            v_watched := v_watched || v_row;
            v_ranks := v_ranks || v_within;
        END IF;
    END LOOP;
    fingerprint := t.fingerprint;
    prob_above := nullif(array_remove(prob_above, NULL), '{}');
    probabilities := upc._json_list(v_answers);
    strike_rows := upc._json_list(v_rows);
    watched_rows := upc._json_list(upc._ranked(v_watched, v_ranks));
    edge_reason := CASE WHEN NOT v_has_edge THEN coalesce(edge_reason, 'no_offer') END;
END
$fn$;
COMMENT ON FUNCTION upc._strike_documents IS
    'the strikes of a tick as they stand in the JSON documents: probabilities, strike table and watchlist';
