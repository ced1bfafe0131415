// Numbers as people read them: fixed decimals, and a dash for what is not known.

export const DASH = "—";

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function fixed(value, decimals = 2) {
  if (!isNumber(value)) return DASH;
  const text = value.toFixed(decimals);
  // What rounds to nothing has no sign.
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** As fixed, with a plus before what is above zero: the sign says what the colour says. */
export function signed(value, decimals = 2) {
  const text = fixed(value, decimals);
  return isNumber(value) && Number(text) > 0 ? `+${text}` : text;
}

const formats = new Map();

/** With thousands separators. */
export function grouped(value, decimals = 0, most = decimals) {
  if (!isNumber(value)) return DASH;
  const key = `${decimals} ${most}`;
  if (!formats.has(key)) {
    formats.set(
      key,
      new Intl.NumberFormat("en-US", {
        minimumFractionDigits: decimals,
        maximumFractionDigits: most,
      }),
    );
  }
  return formats.get(key).format(value);
}

/** Strikes are whole numbers, except where a series has finer steps. */
export const strikeText = (value) => grouped(value, 0, Math.max(4, priceDecimals(value)));

/** Two; below a dollar as many as four digits of the price take. */
export function priceDecimals(value) {
  return value > 0 && value < 1 ? Math.max(2, 3 - Math.floor(Math.log10(value))) : 2;
}

export const priceText = (value) => grouped(value, priceDecimals(value));

/** Dollars of one contract: cents, and what is below them only where there is any. */
export const dollars = (value) => fixedUpTo(value, 2, 4);

function fixedUpTo(value, least, most) {
  if (!isNumber(value)) return DASH;
  let text = value.toFixed(most);
  while (text.endsWith("0") && text.length - text.indexOf(".") - 1 > least) {
    text = text.slice(0, -1);
  }
  return text;
}

/** Seconds as mm:ss, with hours only where there are many. */
export function countdown(seconds) {
  if (!isNumber(seconds)) return DASH;
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 100) return `${two(minutes)}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/** How long ago, in the largest unit that still says something. */
export function ageText(seconds) {
  if (!isNumber(seconds)) return DASH;
  // Tenths would only flicker.
  if (seconds < 1) return "<1 s";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}
