-- Documents of a tick as JSON: how they are made, and how they are kept.
--
-- As json, not text, so that storing them does not parse them again. Only that of the contracts is text: it
-- is put together as text, and reading it as json would take as long as making it.

-- One more document: here, in _ticked and the result of tick and tick_all, in latest_documents and
-- changed_documents; in the program in pyupc/tick/documents.py.
CREATE TYPE upc._documents AS (
    live_probabilities json,
    strike_table json,
    watchlist json,
    active_trades json,
    contracts text
);
COMMENT ON TYPE upc._documents IS 'documents of a tick, by their names';


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
        'base_strike', upc._grid_strike(
            round(upc._less_basis(tick.price, tick.basis) / step), step
        ),
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
        'basis_bps', 10000 * tick.basis,
        'basis_settlements', tick.basis_settlements,
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
            'edge_reason', edge_reason,
            'basis_bps', 10000 * tick.basis,
            'basis_settlements', tick.basis_settlements
        );
    END LOOP;
    RETURN v_documents;
END
$fn$;
COMMENT ON FUNCTION upc._table_documents IS
    'the documents strike_table and watchlist of a tick, in this order';


-- contracts: NULL for a tick that has nothing to do with today's markets.
CREATE FUNCTION upc._contracts_document(
    tick upc_data.tick,
    valid_until text,
    contracts upc._contract_list
)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_header text := json_build_object(
        'symbol', tick.symbol,
        'timestamp', upc._iso_utc(tick.ticked_at),
        'current_price', tick.price,
        'momentum_bps', tick.momentum,
        'state', tick.state,
        'feed', tick.feed,
        'market_at', upc._iso_utc(tick.market_at),
        'model', tick.model,
        'basis_bps', 10000 * tick.basis,
        'basis_settlements', tick.basis_settlements,
        'valid_until', valid_until,
        'tick_id', tick.tick_id,
        'count', coalesce(contracts.shown_count, 0),
        'open_count', coalesce(contracts.open_count, 0)
    );
BEGIN
    RETURN concat(
        left(v_header, -1), ', ', upc._bets_part(tick.market_at, contracts),
        ', "contracts" : [', contracts.entries, ']}'
    );
END
$fn$;
COMMENT ON FUNCTION upc._contracts_document IS
    'the document contracts of a tick';


CREATE FUNCTION upc._keep_documents(symbol text, tick_id bigint, documents upc._documents)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.document AS d
    SET
        tick_id = _keep_documents.tick_id,
        live_probabilities = documents.live_probabilities,
        strike_table = documents.strike_table,
        watchlist = documents.watchlist,
        active_trades = documents.active_trades,
        contracts = documents.contracts
    WHERE d.symbol = _keep_documents.symbol;
    IF NOT FOUND THEN
        -- Whoever has the tick's number has the symbol to itself.
        INSERT INTO upc_data.document
            (symbol, tick_id, live_probabilities, strike_table, watchlist, active_trades, contracts)
        SELECT _keep_documents.symbol, _keep_documents.tick_id, (documents).*;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._keep_documents IS 'keeps the documents of a symbol''s newest tick';
