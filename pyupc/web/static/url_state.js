// What is looked at, kept in the address: ?symbol=BTC&event=range&bucket=7&strike=118500.

export function readView() {
  const asked = new URLSearchParams(location.search);
  const strike = Number(asked.get("strike"));
  const bucket = asked.get("bucket");
  return {
    symbol: asked.get("symbol")?.toUpperCase() || null,
    // null follows the fingerprint that answers now.
    bucket: /^(baseline|-?\d{1,2})$/.test(bucket ?? "") ? bucket : null,
    // null is the row nearest to the price; 0 the one without a lower bound.
    strike: asked.get("strike") && Number.isFinite(strike) ? strike : null,
    // null is the hourly event.
    event: /^[\w-]{1,20}$/.test(asked.get("event") ?? "") ? asked.get("event") : null,
  };
}

/** One step of the back button for each choice; replace is for what nobody chose. */
export function writeView(view, { replace = false } = {}) {
  const asked = new URLSearchParams(location.search);
  for (const key of ["symbol", "event", "bucket", "strike"]) {
    if (view[key] === null) {
      asked.delete(key);
    } else {
      asked.set(key, String(view[key]));
    }
  }
  const query = asked.toString();
  const address = `${location.pathname}${query ? `?${query}` : ""}${location.hash}`;
  if (address === location.pathname + location.search + location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
  } else {
    history.pushState(null, "", address);
  }
}
