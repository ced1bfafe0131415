// The server's events of one symbol, for as long as the page is open, whatever happens between.

import { getJson } from "/static/api.js";
import { instant, mark, since } from "/static/clock.js";

// Nothing for so long means that the connection is dead, even if the browser believes in it.
export const SILENCE_LIMIT = 4;
// An event that was on its way for longer than this comes from a queue, not from the market.
const LATE_LIMIT = 3;
const PAUSES = [0.5, 1, 2, 3];
// The documents that the page shows.
const DOCUMENTS = "live_probabilities,strike_table,watchlist,active_trades,contracts";

export class Stream {
  #source = null;
  #symbol = null;
  #timer = null;
  #failures = 0;
  #opened = mark();
  #heard = null;
  #least = Infinity;
  #sent = new Map();
  #connection = 0;

  /** onTick(data, delay), onPulse(data, delay): delay is how many seconds late it came. */
  constructor({ onTick, onPulse }) {
    this.onTick = onTick;
    this.onPulse = onPulse;
  }

  open(symbol) {
    this.#symbol = symbol;
    this.#failures = 0;
    this.#heard = null;
    this.#opened = mark();
    this.#sent.clear();
    this.#connect();
  }

  /** Seconds since anything came, or since it was asked for. */
  get silence() {
    return since(this.#heard ?? this.#opened);
  }

  get hasFailed() {
    return this.#failures > 0;
  }

  get hasHeard() {
    return this.#heard !== null;
  }

  /** Another number after each break: what came between is missing. */
  get connection() {
    return this.#connection;
  }

  /** Begins anew at once: after sleep, or when the network is back. */
  restart() {
    if (this.#symbol !== null) {
      this.#connect();
    }
  }

  /** Called with every heartbeat of the page. */
  watch() {
    if (this.#source !== null && since(this.#opened) > SILENCE_LIMIT && this.silence > SILENCE_LIMIT) {
      this.#fail();
    }
  }

  #connect() {
    this.#drop();
    this.#connection += 1;
    this.#opened = mark();
    // What was sent before this connection says nothing about its delays.
    this.#least = Infinity;
    const path = `/api/stream/${encodeURIComponent(this.#symbol)}`;
    const source = new EventSource(`${path}?documents=${DOCUMENTS}`);
    this.#source = source;
    const listen = (name, hand) =>
      source.addEventListener(name, (event) => {
        if (this.#source === source) this.#receive(event, hand);
      });
    listen("tick", (data, delay) => this.onTick(data, delay));
    listen("pulse", (data, delay) => this.onPulse(data, delay));
    source.addEventListener("error", () => {
      if (this.#source === source) this.#fail();
    });
  }

  #receive(event, hand) {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      this.#fail();
      return;
    }
    if (data.symbol !== this.#symbol) return;
    const delay = this.#delay(data);
    if (delay > LATE_LIMIT) {
      // A queue that built up in sleep: a new connection begins with the newest tick.
      this.#failures = 1;
      this.restart();
      return;
    }
    this.#heard = mark();
    this.#failures = 0;
    hand(data, delay);
  }

  /**
   * The server's clock and ours differ by an unknown but steady amount; what an event takes longer
   * than the fastest one of this connection is delay.
   */
  #delay(data) {
    if (data.ticked_at) {
      this.#sent.clear();
      this.#sent.set(data.tick_id, instant(data.ticked_at));
    }
    const ticked = this.#sent.get(data.tick_id);
    if (ticked === undefined || typeof data.age_seconds !== "number") return 0;
    const way = Date.now() / 1000 - (ticked + data.age_seconds);
    this.#least = Math.min(this.#least, way);
    return way - this.#least;
  }

  #fail() {
    this.#drop();
    // An EventSource that met an HTTP error is closed for good, so that it is always a new one.
    const pause = PAUSES[Math.min(this.#failures, PAUSES.length - 1)];
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), pause * 1000);
    // An EventSource does not tell why: this leads to the sign-in form if that is the reason.
    getJson("/api/symbols", { timeout: 3000 }).catch(() => {});
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
