// The page: what is looked at, what has come, and what is therefore to be shown.

import { getJson } from "/static/api.js";
import { showFeed, showTitle, showVerdict } from "/static/banner.js";
import { mark, since } from "/static/clock.js";
import { showBetClocks, showBets, startBets } from "/static/bets.js";
import { showCourse, startCourse } from "/static/course.js";
import { startCurve, showCurve } from "/static/curve.js";
import { announce, byId, setAttribute, setText } from "/static/dom.js";
import { eventOf, eventsOf, nearestRow } from "/static/events.js";
import { showEvent, showEventClock } from "/static/event_line.js";
import { showEventTabs, startEventTabs } from "/static/event_tabs.js";
import { priceText } from "/static/format.js";
import { judge } from "/static/freshness.js";
import { secondsToClose, showClocks, showHeader } from "/static/header.js";
import { moveCross, retryHeatmap, showHeatmap, startHeatmap } from "/static/heatmap.js";
import { startHelp } from "/static/help.js";
import { carryOn, clearHistory, historyProblem, startHistory } from "/static/history.js";
import { clearLadder, showLadder, startLadder } from "/static/ladder.js";
import { showPast, startPast } from "/static/past.js";
import { clearPastEvents, readPastEvents, startPastEvents } from "/static/past_events.js";
import { startProfit } from "/static/profit.js";
import { clearReliability, loadReliability, startReliability } from "/static/reliability.js";
import { selectionText } from "/static/selection.js";
import { Stream } from "/static/stream.js";
import { openFinder, startFinder } from "/static/strike_finder.js";
import { showTabs, startTabs } from "/static/tabs.js";
import { showTrades, startTrades } from "/static/trades.js";
import { readView, writeView } from "/static/url_state.js";

const HEARTBEAT = 250;
const SYMBOLS_EVERY = 5;
const CALIBRATION_EVERY = 300;
const CALIBRATION_RETRY = 30;

let view = readView();
let symbols = [];
// The newest tick of the symbol, when it came, and how old it was then.
let tick = null;
let pulse = null;
let received = mark();
let ageThen = 0;
let beatAt = mark();
let symbolsAt = null;
let calibrationAt = null;
let calibrationEvery = CALIBRATION_EVERY;

const stream = new Stream({ onTick: takeTick, onPulse: takePulse });
const age = () => (tick === null ? null : ageThen + since(received));

function takeTick(data, delay) {
  const told = (data.age_seconds ?? 0) + delay;
  const hadNone = tick === null;
  tick = data;
  pulse = null;
  received = mark();
  ageThen = told;
  const events = eventsOf(tick);
  carryOn(tick, eventOf(events, view.event), stream.connection);
  showTick(events);
  beat();
  if (hadNone) startCharts();
}

function takePulse(data, delay) {
  pulse = data;
  if (tick !== null && data.tick_id === tick.tick_id && typeof data.age_seconds === "number") {
    // The server may know better than our clock how old the tick is, but nothing makes it younger.
    const told = data.age_seconds + delay;
    if (told > age()) {
      received = mark();
      ageThen = told;
    }
  }
  beat();
}

/** The row that is looked at: the chosen one if it is in the event, else the nearest to the price. */
function selectedRow(event) {
  const chosen = event?.rows.find((row) => row.strike === view.strike);
  return chosen ?? nearestRow(event, tick?.strike_table.current_price);
}

/** The same strike in the strike table, of which curve and fingerprint are. */
function tableStrike(row) {
  const strikes = tick?.strike_table.strikes ?? [];
  const isThere = strikes.some((each) => each.strike === row?.strike);
  return isThere ? row.strike : (strikes[0]?.strike ?? null);
}

function showTick(events = eventsOf(tick)) {
  const event = eventOf(events, view.event);
  const row = selectedRow(event);
  const strike = tableStrike(row);
  // Which tick it is that the page shows, for whoever compares it with the documents.
  setAttribute(byId("panel"), "data-symbol", view.symbol);
  showHeader(tick);
  showFeed(tick);
  showTrades(tick);
  if (tick === null) {
    clearLadder();
    setText(byId("selection"), "");
  } else {
    showLadder(tick, event, row?.strike);
    setText(byId("selection"), selectionText(row, row?.strike === view.strike));
  }
  showEventTabs(events, event);
  showEvent(event);
  showHistory(tick, event, row);
  showCurve(tick, strike);
  const seconds = tick && secondsToClose(tick, age());
  showHeatmap({ symbol: view.symbol, bucket: view.bucket, tick, strike, seconds });
}

/** isChanged: the log has been read, or could not be. */
function showHistory(tick, event, row, isChanged = false) {
  const problem = historyProblem();
  setAttribute(byId("panel"), "data-history", tick && problem !== null ? "unread" : null);
  setText(byId("past-hint"), problem === null ? "" : `The log cannot be read: ${problem}. Trying again.`);
  showPast(tick, event, row?.strike, isChanged);
  showCourse(tick, row, isChanged);
}

/** Whatever is true of the page by the clock alone, several times a second. */
function beat() {
  const gap = since(beatAt);
  beatAt = mark();
  // Asleep or throttled for long: what the connection has kept for us is a queue of old ticks.
  if (gap > 10 && !document.hidden) stream.restart();
  stream.watch();
  const link = stream;
  const verdict = judge({ link, tick, pulse, age: age() });
  showVerdict(verdict, { symbol: view.symbol, age: age(), tick });
  showBets(tick, verdict.level);
  showClocks(tick, age());
  showBetClocks(tick, age());
  showEventClock(tick, age());
  if (tick) moveCross(secondsToClose(tick, age()));
  const price = tick && priceText(tick.strike_table.current_price);
  showTitle(view.symbol, price, verdict.level, tick?.strike_table.feed);
}

async function refresh() {
  if (symbolsAt === null || since(symbolsAt) > SYMBOLS_EVERY) {
    symbolsAt = mark();
    await loadSymbols();
    retryHeatmap();
    if (tick) startCharts();
  }
  if (tick) readPastEvents(tick);
  if (tick && (calibrationAt === null || since(calibrationAt) > calibrationEvery)) {
    calibrationAt = mark();
    const { symbol } = view;
    const isLoaded = await loadReliability(symbol, tick.live_probabilities);
    // What came for another symbol does not count; what failed is tried again, but not at once.
    if (symbol !== view.symbol) calibrationAt = null;
    else calibrationEvery = isLoaded ? CALIBRATION_EVERY : CALIBRATION_RETRY;
  }
}

async function loadSymbols() {
  try {
    ({ symbols } = await getJson("/api/symbols"));
  } catch {
    // The stream says what is wrong; the tabs keep what they know.
    if (view.symbol !== null && symbols.length === 0) symbols = [{ symbol: view.symbol }];
  }
  const isKnown = symbols.some((row) => row.symbol === view.symbol);
  if (!isKnown && symbols.length > 0) {
    view = { ...view, symbol: symbols[0].symbol, event: null, strike: null };
    writeView(view, { replace: true });
    openSymbol();
  } else {
    showTabs(symbols, view.symbol);
  }
}

function openSymbol() {
  tick = null;
  pulse = null;
  calibrationAt = null;
  clearHistory();
  stream.open(view.symbol);
  clearReliability();
  clearPastEvents();
  showTick();
  showTabs(symbols, view.symbol);
  beat();
}

/** A choice of whoever looks: a step of the back button. */
function choose(change) {
  const next = { ...view, ...change };
  const isOther = next.symbol !== view.symbol;
  view = next;
  writeView(view);
  if (isOther) openSymbol();
  else showTick();
}

function chooseSymbol(symbol) {
  if (symbol === view.symbol) return;
  // A strike of one symbol is none of another.
  choose({ symbol, event: null, strike: null });
  announce(`${symbol} is shown`);
}

/** The row of a bet, in its event. */
function chooseBet(bet) {
  const event = eventsOf(tick).find((each) => each.ticker === bet.event_ticker);
  if (event) choose({ event: event.id, strike: bet.lower ?? 0 });
}

/** The next symbol that begins with the letter. */
function chooseLetter(letter) {
  const names = symbols.map((row) => row.symbol);
  const place = names.indexOf(view.symbol);
  const found = [...names.slice(place + 1), ...names.slice(0, place + 1)].find((name) => name.startsWith(letter));
  if (found) chooseSymbol(found);
}

/** So many rows further down; many steps are one of the back button. */
function stepRows(count) {
  const shown = [...byId("ladder").querySelectorAll("tr[data-strike]")];
  const place = shown.findIndex((node) => node.hasAttribute("aria-current"));
  const next = shown[Math.min(shown.length - 1, Math.max(0, place + count))];
  if (!next) return;
  view = { ...view, strike: Number(next.dataset.strike) };
  writeView(view, { replace: true });
  showTick();
  next.scrollIntoView({ block: "nearest" });
}

function findStrike(price) {
  const row = nearestRow(eventOf(eventsOf(tick), view.event), price);
  if (!row) return;
  choose({ strike: row.strike });
  byId("ladder").querySelector("tr[aria-current]")?.focus();
}

function readHistory() {
  if (tick === null) return;
  const event = eventOf(eventsOf(tick), view.event);
  const row = selectedRow(event);
  showLadder(tick, event, row?.strike);
  showHistory(tick, event, row, true);
}

const charts = [];

function startCharts() {
  for (const chart of charts) chart.start();
}

function wake() {
  if (!document.hidden) beat();
}

startTabs(chooseSymbol);
startBets(chooseBet);
startEventTabs((event) => choose({ event, strike: null }));
startLadder((strike) => choose({ strike }), () => showTick());
startTrades();
startHistory(readHistory);
startPastEvents();
startFinder(findStrike);
startHelp({
  onSymbol: (place) => symbols[place] && chooseSymbol(symbols[place].symbol),
  onLetter: chooseLetter,
  onNearest: () => choose({ strike: null }),
  onStep: stepRows,
  onFind: openFinder,
});
charts.push(startPast(), startCourse(), startProfit(), startCurve(), startHeatmap((bucket) => choose({ bucket })), startReliability());

addEventListener("popstate", () => {
  const { symbol } = view;
  view = readView();
  view.symbol ??= symbols[0]?.symbol ?? symbol;
  if (view.symbol !== symbol) openSymbol();
  else showTick();
});
document.addEventListener("visibilitychange", wake);
document.addEventListener("resume", () => stream.restart());
addEventListener("pageshow", (event) => event.persisted && stream.restart());
addEventListener("online", () => stream.restart());
setInterval(beat, HEARTBEAT);
setInterval(refresh, 1000);
if (view.symbol !== null) openSymbol();
refresh();
