// Elapsed time that neither a changed clock nor a sleeping computer can make look shorter.

export function mark() {
  return { steady: performance.now(), wall: Date.now() };
}

/**
 * Seconds since a mark. The steady clock counts; but in some browsers it stands still while the
 * computer sleeps, so where the wall clock has gone clearly further, that is believed: a number
 * may be taken for too old for a second, and never for too new.
 */
export function since(start) {
  const steady = (performance.now() - start.steady) / 1000;
  const wall = (Date.now() - start.wall) / 1000;
  return wall > steady + 1.5 ? wall : steady;
}

/** Seconds since 1970 of an ISO instant, with its microseconds; NaN where it is none. */
export function instant(text) {
  const whole = Date.parse(text);
  const fraction = /\.(\d+)/.exec(text ?? "");
  return fraction ? Math.floor(whole / 1000) + Number(`0.${fraction[1]}`) : whole / 1000;
}
