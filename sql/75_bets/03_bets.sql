-- The bets of a tick: of each event the best on yes and the best on no, ranked.

-- Titles of the scheduled news that a contract lives through.
CREATE FUNCTION upc._news_until(at timestamptz, closes_at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT string_agg(n.title, ', ' ORDER BY n.starts_at, n.title)
        FROM upc_data.scheduled_news AS n
        WHERE n.starts_at < _news_until.closes_at AND n.ends_at > _news_until.at
    );
END
$fn$;
COMMENT ON FUNCTION upc._news_until IS
    'titles of the scheduled news between an instant and a close; NULL without any';


-- The line that records a bet once it is bought. most: how many where no size is told.
CREATE FUNCTION upc._bet_command(bet upc._bet, most numeric)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_count numeric := coalesce(bet.count, least(most, floor(bet.offered)), most);
BEGIN
    -- It is for a shell, and the name comes from elsewhere.
    IF v_count > 0 AND bet.ticker ~ '^[A-Za-z0-9._-]+$' THEN
        RETURN format(
            'pyupc trades open --ticker %s --side %s --price %s --count %s',
            bet.ticker, bet.side, trim_scale(bet.ask), trim_scale(v_count)
        );
    END IF;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._bet_command IS
    'the line that records a bet once it is bought; NULL where there is nothing to buy';


-- Bets of a tick, the best first: of each event the contract with the greatest low end of the edge on yes, and
-- that on no. A low end that is not above 0 is worth nothing, and has no rank.
--
-- at: on the clock of the market. contracts: with the best entries of each event. Nothing where the rule
-- suggest_bets is off.
CREATE FUNCTION upc._ranked_bets(at timestamptz, contracts upc._contract_list)
RETURNS upc._bet[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_all upc._bet[] := '{}'::upc._bet[];
    v_bankroll numeric := upc.setting('bankroll')::numeric;
    v_bet upc._bet;
    v_each record;
BEGIN
    IF NOT upc.setting('suggest_bets')::boolean THEN
        RETURN v_all;
    END IF;
    FOR v_each IN
        SELECT b.entry, CASE WHEN b.place % 2 = 1 THEN 'yes' ELSE 'no' END AS side
        FROM unnest(contracts.best, contracts.best_orders)
            WITH ORDINALITY AS b (entry, bet_order, place)
        WHERE b.entry IS NOT NULL
        ORDER BY upc._bet_worth(b.bet_order) DESC, b.place
    LOOP
        v_bet := upc._bet_of(v_each.entry, v_each.side);
        IF v_bet.edge_low > 0 THEN
            v_bet.rank := cardinality(v_all) + 1;
            IF v_bankroll > 0 THEN
                v_bet := upc._sized_bet(v_bet, v_all, v_bankroll);
            END IF;
            v_bet.command := upc._bet_command(v_bet, upc.setting('edge_contracts')::numeric);
        END IF;
        v_bet.news := upc._news_until(at, v_bet.closes_at::timestamptz);
        v_all := v_all || v_bet;
        -- Of what is worth nothing the best will do.
        EXIT WHEN v_bet.rank IS NULL;
    END LOOP;
    RETURN v_all;
END
$fn$;
COMMENT ON FUNCTION upc._ranked_bets IS
    'the bets of a tick, the best first, and behind them the best of those that are worth nothing';


-- The part of the document contracts that is about bets, as text, without the braces.
CREATE FUNCTION upc._bets_part(at timestamptz, contracts upc._contract_list)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_all upc._bet[] := upc._ranked_bets(at, contracts);
    v_last integer := cardinality(v_all);
    v_rest text := 'null';
BEGIN
    IF v_last > 0 AND v_all[v_last].rank IS NULL THEN
        v_rest := row_to_json(v_all[v_last]);
        v_all := v_all[:v_last - 1];
    END IF;
    RETURN concat(
        '"suggest_bets" : ', upc.setting('suggest_bets')::boolean::text,
        ', "bets" : ', array_to_json(v_all),
        ', "best_of_rest" : ', v_rest
    );
END
$fn$;
COMMENT ON FUNCTION upc._bets_part IS
    'the keys suggest_bets, bets and best_of_rest of the document contracts, as text';
