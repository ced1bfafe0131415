// Asks the server for JSON; its problems become errors with a hint, and 401 leads to the form.

export class ApiError extends Error {
  constructor(status, title, detail, hint) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.hint = hint;
  }
}

export function goToLogin() {
  const here = location.pathname + location.search;
  location.assign(`/login?next=${encodeURIComponent(here)}`);
}

/** Errors: ApiError, with status 0 where no answer came at all. */
export async function getJson(path, { timeout = 10_000 } = {}) {
  let response;
  try {
    response = await fetch(path, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(timeout),
    });
  } catch {
    throw new ApiError(0, "pyupc does not answer", "", "");
  }
  if (response.status === 401) {
    goToLogin();
    throw new ApiError(401, "Sign in first", "", "");
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    // A proxy's own error page is no JSON; the status says enough.
  }
  if (!response.ok || body === null) {
    throw new ApiError(
      response.status,
      body?.title ?? `The server answered ${response.status}`,
      body?.detail ?? "",
      body?.hint ?? "",
    );
  }
  return body;
}
