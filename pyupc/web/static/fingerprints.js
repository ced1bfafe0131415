// Fingerprints from the server: which bucket answers, and its matrix, kept for a while.

import { getJson } from "/static/api.js";
import { since, mark } from "/static/clock.js";

const BASELINE = 99;
// Curves change when a build is done, about once an hour.
export const KEEP_FOR = 300;
const KEEP = 12;
const kept = new Map();

/** The bucket of a fingerprint's name, as the address and the API have it: "7", "-27", "baseline". */
export function bucketOf(name) {
  const found = /_momentum_(-?\d+)$/.exec(name ?? "");
  if (found) return String(Number(found[1]));
  return /_baseline$/.test(name ?? "") ? "baseline" : null;
}

export function bucketLabel(bucket) {
  if (bucket === "baseline") return "baseline: all minutes";
  const number = Number(bucket);
  if (number === 30) return "+30 bp and more";
  if (number === -30) return "-30 bp and less";
  return `${number > 0 ? "+" : ""}${number} bp`;
}

/** The buckets that a symbol has, baseline first. */
export async function listBuckets(symbol) {
  const { fingerprints } = await getJson(
    `/api/fingerprints?symbol=${encodeURIComponent(symbol)}`,
  );
  const buckets = fingerprints
    .filter((row) => row.is_in_use !== false)
    .map((row) => row.bucket)
    .filter((bucket) => Number.isInteger(bucket));
  return [...new Set(buckets)]
    .sort((one, other) => (other === BASELINE) - (one === BASELINE) || one - other)
    .map((bucket) => (bucket === BASELINE ? "baseline" : String(bucket)));
}

/** Of standardised moves for the model volatility, else of plain ones. Errors: ApiError. */
export async function getFingerprint(symbol, bucket, model) {
  const query = model === "volatility" ? "?model=volatility" : "";
  const key = `${symbol}/${bucket}${query}`;
  const old = kept.get(key);
  if (old && since(old.at) < KEEP_FOR) return old.answer;
  kept.delete(key);
  const answer = await getJson(
    `/api/fingerprints/${encodeURIComponent(symbol)}/${encodeURIComponent(bucket)}${query}`,
  );
  kept.set(key, { at: mark(), answer });
  // The one that was asked for longest ago goes: an hour of looking must not fill the memory.
  if (kept.size > KEEP) kept.delete(kept.keys().next().value);
  return answer;
}
