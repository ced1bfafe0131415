-- Document keys: every key of every document, and the states in which it has a value.

-- Keys of a strike in strike_table and watchlist, in their order. The list between the marks is JSON,
-- since the API reads it too, which describes its answers without a database.
--
-- kind: as in document_keys. type: number, integer, text, side (yes or no) or reason (one of
-- edge_reasons), with "or null" where it may be null.
CREATE FUNCTION upc._strike_keys()
RETURNS TABLE (name text, kind text, type text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 25
AS $fn$
    SELECT d.name, d.kind, d.type, d.meaning
    FROM json_array_elements($keys$
[
{"name": "strike", "kind": "plain", "type": "number", "meaning": "USD"},
{"name": "buffer", "kind": "plain", "type": "number", "meaning": "distance from the price that is asked about, USD"},
{"name": "buffer_pct", "kind": "plain", "type": "number", "meaning": "buffer in steps between strikes"},
{"name": "probability", "kind": "probability", "type": "number or null", "meaning": "not to cross the strike, percent"},
{"name": "yes_ask", "kind": "quote", "type": "integer or null", "meaning": "cents, rounded up"},
{"name": "no_ask", "kind": "quote", "type": "integer or null", "meaning": "cents, rounded up"},
{"name": "yes_diff", "kind": "difference", "type": "number or null", "meaning": "probability less the ask, points"},
{"name": "no_diff", "kind": "difference", "type": "number or null", "meaning": "probability less the ask, points"},
{"name": "volume", "kind": "quote", "type": "number or null", "meaning": "contracts"},
{"name": "ticker", "kind": "plain", "type": "text or null", "meaning": "of the market"},
{"name": "active_side", "kind": "plain", "type": "side", "meaning": "the side that pays where the price stays on its side of the strike"},
{"name": "yes_ask_dollars", "kind": "quote", "type": "text or null", "meaning": "exact, per contract"},
{"name": "no_ask_dollars", "kind": "quote", "type": "text or null", "meaning": "exact, per contract"},
{"name": "yes_bid_dollars", "kind": "quote", "type": "text or null", "meaning": "exact, per contract"},
{"name": "no_bid_dollars", "kind": "quote", "type": "text or null", "meaning": "exact, per contract"},
{"name": "yes_edge", "kind": "difference", "type": "number or null", "meaning": "cents per contract, after the taker fee of an order"},
{"name": "no_edge", "kind": "difference", "type": "number or null", "meaning": "cents per contract, after the taker fee of an order"},
{"name": "prob_above", "kind": "probability", "type": "number or null", "meaning": "to close at or above the strike, percent"},
{"name": "sample_size", "kind": "plain", "type": "integer or null", "meaning": "starting minutes that were counted"},
{"name": "prob_low", "kind": "probability", "type": "number or null", "meaning": "lower end of the 95 % interval of prob_above"},
{"name": "prob_high", "kind": "probability", "type": "number or null", "meaning": "its upper end"},
{"name": "edge_reason", "kind": "edge_reason", "type": "reason or null", "meaning": "why neither side has an edge"}
]
    $keys$::json) WITH ORDINALITY AS e (key, place)
    CROSS JOIN LATERAL json_to_record(e.key) AS d (name text, kind text, type text, meaning text)
    ORDER BY e.place
$fn$;
COMMENT ON FUNCTION upc._strike_keys IS
    'the keys of a strike in the documents strike_table and watchlist, with their kinds, types and meanings';


CREATE FUNCTION upc._trade_keys()
RETURNS TABLE (kind text, keys text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    VALUES
        (
            'plain',
            '{id,trade_id,ticket_id,ticker,symbol,side,strike,buy_price,position,current_symbol_price,
            buffer_from_entry,time_since_entry,status,stop_reason,stopped_at,ttc_seconds,
            event_ticker,opened_at,state,contract_side,strike_price,sold_count,realised_pnl,lower,
            upper,kind}'::text[]
        ),
        ('probability', '{current_probability}'),
        (
            'quote',
            '{current_close_price,current_pnl,close_value,pnl,pnl_per_contract,pnl_after_fees,
            pnl_per_contract_after_fees}'
        );
END;
COMMENT ON FUNCTION upc._trade_keys IS
    'the keys of a trade in the document active_trades, by kind';


CREATE FUNCTION upc._status_keys()
RETURNS TABLE (kind text, keys text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    VALUES
        ('instant', '{timestamp}'::text[]),
        ('until', '{valid_until}'),
        ('light', '{state,symbols[].light}'),
        ('state', '{symbols[].price_state,symbols[].quote_state}'),
        (
            'plain',
            '{problems,problem,symbols,valid_for_seconds,symbols[].symbol,symbols[].problems,
            symbols[].is_expected,symbols[].feed,symbols[].holder,symbols[].lease_state,
            symbols[].ticked_at,symbols[].tick_age_seconds,symbols[].price_age_seconds,
            symbols[].quote_age_seconds,symbols[].event_ticker,symbols[].candle_at,
            symbols[].candle_age_seconds,symbols[].fingerprint_origin,
            symbols[].fingerprint_through,symbols[].is_momentum_known,symbols[].open_trades,
            symbols[].minute_done,symbols[].minute_missed,symbols[].minute_availability,
            symbols[].hour_done,symbols[].hour_missed,symbols[].hour_availability,
            symbols[].day_done,symbols[].day_missed,symbols[].day_availability,
            symbols[].day_answered,symbols[].price_source,symbols[].basis_bps,
            symbols[].basis_settlements}'
        );
END;
COMMENT ON FUNCTION upc._status_keys IS
    'the keys of the status document, by kind';


-- Every key of every document.
--
-- Returns one row per key. path: dots lead into an object, [] into the rows of a list. kind:
--   plain            a name, bound, count or time, and the price of that tick: always there
--   instant          the instant that the document speaks of; each document has one
--   until            when it ceases to be fresh; in warn, when it ceases to be that
--   state            freshness: becomes that of the document, if that is worse
--   light            green, yellow or red: red from warn on
--   probability      in percent: null from halted on
--   reading          a price or momentum as of now: null from halted on
--   quote            from the order book, or derived from it: null from halted on, and paused
--   difference       between a probability and a quote: null from stale on, and paused
--   edge_reason      why there is no difference: price_stale from stale on, unless it is worse
--   rows             a list whose rows stay; in files it is empty from halted on, as consumers of
--                    the predecessor want it
--   recommendations  a list that is empty from stale on
-- Errors: none.
--
-- Example:
--   SELECT kind FROM document_keys() WHERE document = 'watchlist' AND path = 'strikes[].yes_ask';
CREATE FUNCTION upc.document_keys()
RETURNS TABLE (document text, path text, kind text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    WITH header (kind, keys) AS (
        VALUES
            ('until', '{valid_until}'::text[]),
            ('state', '{state}'),
            ('plain', '{symbol,tick_id,feed,market_at,problem}')
    ),
    table_header (kind, keys) AS (
        VALUES
            ('instant', '{last_updated}'::text[]),
            ('state', '{quote_state}'),
            ('edge_reason', '{edge_reason}'),
            (
                'plain',
                '{current_price,ttc,broker,event_ticker,market_title,strike_tier,market_status,
                momentum.weighted_score,momentum.deltas.delta_1m,momentum.deltas.delta_2m,
                momentum.deltas.delta_3m,momentum.deltas.delta_4m,momentum.deltas.delta_15m,
                momentum.deltas.delta_30m,fingerprint,quotes_read_at,basis_bps,basis_settlements}'
            )
    ),
    answer (document, kind, keys) AS (
        VALUES
            ('live_probabilities', 'instant', '{timestamp}'::text[]),
            ('live_probabilities', 'rows', '{strikes,probabilities}'),
            (
                'live_probabilities', 'plain',
                '{current_price,base_strike,ttc_seconds,momentum_score,fingerprint_csv,momentum_bps,
                fingerprint,method,model,settlement,volatility,basis_bps,basis_settlements,
                probabilities[].strike,probabilities[].buffer,probabilities[].move_percent,
                probabilities[].direction}'
            ),
            (
                'live_probabilities', 'probability',
                '{probabilities[].prob_beyond,probabilities[].prob_within,
                probabilities[].positive_prob,probabilities[].negative_prob}'
            ),
            ('strike_table', 'rows', '{strikes}'),
            ('watchlist', 'recommendations', '{strikes}'),
            ('active_trades', 'instant', '{timestamp}'),
            ('active_trades', 'state', '{quote_state}'),
            ('active_trades', 'plain', '{active_trades,count,current_price}'),
            ('contracts', 'instant', '{timestamp}'),
            ('contracts', 'plain', '{contracts,count,open_count,current_price,momentum_bps,model,basis_bps,basis_settlements}'),
            -- For the predecessor's consumers.
            ('market_snapshot', 'instant', '{timestamp}'),
            ('market_snapshot', 'rows', '{markets}'),
            (
                'market_snapshot', 'plain',
                '{event_ticker,market_title,markets[].ticker,markets[].floor_strike,
                markets[].status}'
            ),
            (
                'market_snapshot', 'quote',
                '{markets[].yes_ask,markets[].no_ask,markets[].yes_bid,markets[].no_bid,
                markets[].volume}'
            ),
            -- Answers of the API that speak of a tick; their instant is that of the question.
            ('price', 'reading', '{price}'),
            ('price', 'plain', '{age_seconds,priced_at,timestamp}'),
            (
                'ttc', 'plain',
                '{ttc_seconds,closes_at,event_ticker,market_title,market_status,timestamp}'
            ),
            (
                'momentum', 'reading',
                '{momentum_bps,weighted_score,deltas,deltas.delta_1m,deltas.delta_2m,deltas.delta_3m,
                deltas.delta_4m,deltas.delta_15m,deltas.delta_30m}'
            ),
            ('momentum', 'plain', '{fingerprint,timestamp}')
    )
    SELECT k.document, k.prefix || p, k.kind
    FROM (
        SELECT a.document, '' AS prefix, a.kind, a.keys FROM answer AS a
        UNION ALL
        SELECT d, '', h.kind, h.keys
        FROM header AS h
        CROSS JOIN unnest(
            '{live_probabilities,strike_table,watchlist,active_trades,contracts,market_snapshot,
            bets,price,ttc,momentum}'::text[]
        ) AS d
        UNION ALL
        SELECT d, '', t.kind, t.keys
        FROM table_header AS t CROSS JOIN unnest('{strike_table,watchlist}'::text[]) AS d
        UNION ALL
        SELECT d, 'strikes[].', s.kind, ARRAY[s.name]
        FROM upc._strike_keys() AS s CROSS JOIN unnest('{strike_table,watchlist}'::text[]) AS d
        UNION ALL
        SELECT 'contracts', 'contracts[].', c.kind, ARRAY[c.name] FROM upc._contract_keys() AS c
        UNION ALL
        SELECT b.document, '', b.kind, b.keys FROM upc._bet_document_keys() AS b
        UNION ALL
        SELECT 'active_trades', 'active_trades[].', t.kind, t.keys FROM upc._trade_keys() AS t
        UNION ALL
        SELECT 'status', '', s.kind, s.keys FROM upc._status_keys() AS s
    ) AS k
    CROSS JOIN unnest(k.keys) AS p;
END;
COMMENT ON FUNCTION upc.document_keys IS
    'every key of every document with its kind, from which follows what becomes of it as the document grows old';


-- Rules by which a document that gets no successor grows old, for a process that holds one while there
-- is no database to ask.
--
-- Returns JSON: states in their order; limits, the age in seconds at which each of them but the
-- last ends; kinds, from which state on a kind of keys is null or empty (null_from, empty_from,
-- empty_in_files_from), or what it becomes (becomes: from, value, unless); documents, the kind of
-- each path.
-- Errors: none.
--
-- Example:
--   SELECT document_rules()::json #>> '{kinds,difference,null_from}';
CREATE FUNCTION upc.document_rules()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH ordered (state, place) AS (
        SELECT s.state, s.place
        FROM unnest('{fresh,warn,stale,halted}'::text[]) WITH ORDINALITY AS s (state, place)
    ),
    kinds AS (
        SELECT
            k.kind,
            (
                SELECT o.state FROM ordered AS o WHERE NOT upc._is_shown(k.kind, o.state)
                ORDER BY o.place LIMIT 1
            ) AS ends
        FROM (SELECT DISTINCT d.kind FROM upc.document_keys() AS d) AS k
    )
    SELECT json_build_object(
        'states', (SELECT json_agg(o.state ORDER BY o.place) FROM ordered AS o),
        'limits', array_to_json(upc._state_limits()),
        'kinds', (
            SELECT json_object_agg(
                k.kind,
                CASE k.kind
                    WHEN 'recommendations' THEN json_build_object('empty_from', k.ends)
                    WHEN 'rows' THEN json_build_object('empty_in_files_from', 'halted')
                    WHEN 'light' THEN json_build_object(
                        'becomes', json_build_object('from', 'warn', 'value', 'red')
                    )
                    WHEN 'edge_reason' THEN json_build_object(
                        'becomes', json_build_object(
                            'from', 'stale',
                            'value', 'price_stale',
                            'unless', '{closed,paused}'::text[]
                        )
                    )
                    ELSE json_build_object('null_from', k.ends)
                END
            )
            FROM kinds AS k
        ),
        'documents', (
            SELECT json_object_agg(d.document, d.paths)
            FROM (
                SELECT k.document, json_object_agg(k.path, k.kind) AS paths
                FROM upc.document_keys() AS k
                GROUP BY k.document
            ) AS d
        )
    )::text;
END;
COMMENT ON FUNCTION upc.document_rules IS
    'rules by which each key of each document grows old, with the limits in force, as JSON';
