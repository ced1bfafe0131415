-- Documents of the strikes: a row as it stands in the JSON files, with the predecessor's keys.

-- A strike as it stands in strike_table and watchlist. The names are the keys.
CREATE TYPE upc._shown_strike AS (
    strike double precision,
    buffer double precision,
    buffer_pct double precision,
    probability double precision,
    yes_ask integer,
    no_ask integer,
    yes_diff double precision,
    no_diff double precision,
    volume numeric,
    ticker text,
    active_side text,
    yes_ask_dollars text,
    no_ask_dollars text,
    yes_bid_dollars text,
    no_bid_dollars text,
    yes_edge double precision,
    no_edge double precision,
    prob_above double precision,
    sample_size bigint,
    prob_low double precision,
    prob_high double precision,
    edge_reason text
);
COMMENT ON TYPE upc._shown_strike IS 'a strike with the keys that it has in the documents strike_table and watchlist';


CREATE TYPE upc._shown_probability AS (
    strike double precision,
    buffer double precision,
    move_percent double precision,
    prob_beyond double precision,
    prob_within double precision,
    direction text,
    positive_prob double precision,
    negative_prob double precision
);
COMMENT ON TYPE upc._shown_probability IS 'a strike with the keys that it has in the document live_probabilities';


-- Rows by their ranks, the highest first; equal ones in the order that they are in.
CREATE FUNCTION upc._ranked(elements json[], ranks double precision[])
RETURNS json[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_ranked json[] := '{}'::json[];
    v_ranks double precision[] := '{}'::double precision[];
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
    'rows by their ranks, the highest first';


-- The strikes of a tick as JSON, from one call of compute_strikes.
--
-- Arguments as in _row_terms_of; min_probability and min_differential, in percent, are what the
-- watchlist asks for. Probabilities, moves, buffers and differences have two decimals,
-- buffers below a dollar those of the price. edge_reason is
-- NULL where a row has an edge, else the reason of the row that is short of least.
--
-- Row by row: a query with that many expressions takes longer to set up than to answer. row_to_json of a
-- named type is the quickest way to a row.
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
    OUT edge_reason text,
    OUT yes_bid numeric[],
    OUT no_bid numeric[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_terms upc._row_terms := upc._row_terms_of(question, event, price_state);
    t record;
    v_decimals integer := upc._usd_decimals(upc._shown_price(question));
    v_beyond double precision;
    v_within double precision;
    v_buffer double precision;
    v_yes_cents integer;
    v_no_cents integer;
    v_yes_diff double precision;
    v_no_diff double precision;
    v_yes_edge double precision;
    v_no_edge double precision;
    v_reason text;
    v_has_edge boolean := false;
    v_row json;
    v_answer json;
    v_rows json[];
    v_answers json[];
    v_watched json[];
    v_ranks double precision[];
BEGIN
    FOR t IN
        SELECT s.* FROM upc._quoted_strikes(question, event, v_terms) AS s
        ORDER BY s.buffer, s.strike
    LOOP
        v_beyond := upc._hundredths(t.prob_beyond);
        v_within := upc._hundredths(100 - v_beyond);
        v_buffer := upc._shown_distance(t.buffer, v_decimals);
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
                paused => v_terms.is_paused OR upc._trading_state(t.status) = 'paused',
                price_stale => v_terms.price_stale,
                quotes_stale => v_terms.quotes_stale,
                rules_unclear => v_terms.is_unclear,
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
        v_row := row_to_json(ROW(
            t.strike,
            v_buffer,
            upc._exact_hundredths(t.buffer / question.step),
            v_within,
            v_yes_cents,
            v_no_cents,
            upc._hundredths(v_yes_diff),
            upc._hundredths(v_no_diff),
            trim_scale(t.volume),
            t.ticker,
            CASE WHEN t.is_above THEN 'no' ELSE 'yes' END,
            t.yes_ask,
            t.no_ask,
            t.yes_bid,
            t.no_bid,
            upc._hundredths(v_yes_edge),
            upc._hundredths(v_no_edge),
            upc._hundredths(t.prob_above),
            t.sample_size,
            upc._hundredths(t.prob_low),
            upc._hundredths(t.prob_high),
            v_reason
        )::upc._shown_strike);
        v_answer := row_to_json(ROW(
            t.strike,
            v_buffer,
            upc._hundredths(t.move_percent),
            v_beyond,
            v_within,
            CASE WHEN t.is_above THEN 'above' ELSE 'below' END,
            upc._hundredths(t.positive_prob),
            upc._hundredths(t.negative_prob)
        )::upc._shown_probability);
        v_rows := v_rows || v_row;
        -- Rows come from the price outwards: to those before it each is the highest or the lowest.
        IF t.is_above THEN
            strikes := strikes || t.strike;
            prob_above := prob_above || t.prob_above;
            yes_ask := yes_ask || t.yes_ask;
            no_ask := no_ask || t.no_ask;
            yes_bid := yes_bid || t.yes_bid;
            no_bid := no_bid || t.no_bid;
            v_answers := v_answers || v_answer;
        ELSE
            strikes := t.strike || strikes;
            prob_above := t.prob_above || prob_above;
            yes_ask := t.yes_ask || yes_ask;
            no_ask := t.no_ask || no_ask;
            yes_bid := t.yes_bid || yes_bid;
            no_bid := t.no_bid || no_bid;
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
    probabilities := array_to_json(v_answers);
    strike_rows := array_to_json(v_rows);
    watched_rows := array_to_json(upc._ranked(v_watched, v_ranks));
    edge_reason := CASE WHEN NOT v_has_edge THEN coalesce(edge_reason, 'no_offer') END;
END
$fn$;
COMMENT ON FUNCTION upc._strike_documents IS
    'the strikes of a tick as they stand in the JSON documents: probabilities, strike table and watchlist';
