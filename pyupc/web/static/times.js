// Times of a close where it matters: in New York, in UTC, and here.

const formats = new Map();

function clock(zone) {
  if (!formats.has(zone)) {
    formats.set(
      zone,
      new Intl.DateTimeFormat("en-US", {
        hour: "numeric",
        minute: "2-digit",
        hour12: zone === "America/New_York",
        hourCycle: zone === "America/New_York" ? undefined : "h23",
        timeZone: zone,
        timeZoneName: zone === "America/New_York" ? "short" : undefined,
      }),
    );
  }
  return formats.get(zone);
}

export const here = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** 11:00 PM EST · 04:00 UTC · 05:00 here; the last only where it is another time than UTC. */
export function closeTimes(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const at = new Date(seconds * 1000);
  const utc = clock("UTC").format(at);
  const local = clock(here).format(at);
  const parts = [clock("America/New_York").format(at), `${utc} UTC`];
  if (local !== utc) parts.push(`${local} here`);
  return parts.join(" · ");
}

/** The shortest that tells one close from the next: the time here. */
export function shortTime(seconds) {
  return Number.isFinite(seconds) ? clock(here).format(new Date(seconds * 1000)) : "";
}
