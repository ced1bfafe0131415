-- Documents of a tick as JSON. As json, not text, so that storing them does not parse them again.

CREATE FUNCTION upc._live_document(
    tick upc_data.tick,
    step double precision,
    valid_until text,
    probabilities json
)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN json_build_object(
        'timestamp', upc._iso_utc(tick.ticked_at),
        'current_price', tick.price,
        'base_strike', upc._grid_strike(round(tick.price / step), step),
        'ttc_seconds', tick.ttc_seconds,
        'momentum_score', tick.momentum / 100,
        'strikes', tick.strikes,
        'probabilities', probabilities,
        'fingerprint_csv', tick.fingerprint || '.csv',
        'symbol', tick.symbol,
        'momentum_bps', tick.momentum,
        'fingerprint', tick.fingerprint,
        'method', tick.method,
        'model', tick.model,
        'settlement', tick.settlement,
        'volatility', tick.volatility,
        'state', tick.state,
        'feed', tick.feed,
        'market_at', upc._iso_utc(tick.market_at),
        'valid_until', valid_until,
        'tick_id', tick.tick_id
    );
END
$fn$;
COMMENT ON FUNCTION upc._live_document IS
    'the document live_probabilities of a tick';


CREATE FUNCTION upc._trades_document(
    tick upc_data.tick,
    quote_state text,
    valid_until text,
    active json[]
)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN json_build_object(
        'symbol', tick.symbol,
        'timestamp', upc._iso_utc(tick.ticked_at),
        'active_trades', array_to_json(active),
        'count', cardinality(active),
        'current_price', tick.price,
        'state', tick.state,
        'quote_state', quote_state,
        'feed', tick.feed,
        'market_at', upc._iso_utc(tick.market_at),
        'valid_until', valid_until,
        'tick_id', tick.tick_id
    );
END
$fn$;
COMMENT ON FUNCTION upc._trades_document IS
    'the document active_trades of a tick';


-- The strike table, and the watchlist with the same header.
CREATE FUNCTION upc._table_documents(
    tick upc_data.tick,
    event upc._event,
    quote_state text,
    step double precision,
    valid_until text,
    deltas json,
    edge_reason text,
    strike_rows json,
    watched_rows json
)
RETURNS json[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_documents json[];
    v_updated text := upc._iso_utc(tick.ticked_at);
    v_read_at text := upc._iso_utc(event.read_at);
    v_market_at text := upc._iso_utc(tick.market_at);
    v_momentum json := json_build_object(
        'weighted_score', tick.momentum / 100,
        'deltas', deltas
    );
BEGIN
    FOR v_n IN 1..2 LOOP
        v_documents[v_n] := json_build_object(
            'symbol', tick.symbol,
            'current_price', tick.price,
            'ttc', tick.ttc_seconds,
            'broker', 'Kalshi',
            'event_ticker', event.event_ticker,
            'market_title', event.title,
            'strike_tier', step,
            'market_status', event.status,
            'last_updated', v_updated,
            'strikes', CASE v_n WHEN 1 THEN strike_rows ELSE watched_rows END,
            'momentum', v_momentum,
            'fingerprint', tick.fingerprint,
            'state', tick.state,
            'quote_state', quote_state,
            'quotes_read_at', v_read_at,
            'feed', tick.feed,
            'market_at', v_market_at,
            'valid_until', valid_until,
            'tick_id', tick.tick_id,
            'edge_reason', edge_reason
        );
    END LOOP;
    RETURN v_documents;
END
$fn$;
COMMENT ON FUNCTION upc._table_documents IS
    'the documents strike_table and watchlist of a tick, in this order';
