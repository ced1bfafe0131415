// The sign-in form: where to go afterwards, and that the last token was wrong.

const asked = new URLSearchParams(location.search);

const next = asked.get("next") ?? "/";
// A path of this server and nothing else: "//elsewhere" would be another one.
const isOwnPath = /^\/(?![/\\])/.test(next);
document.getElementById("next").value = isOwnPath ? next : "/";

const form = document.getElementById("login");
form.action = `/login?next=${encodeURIComponent(isOwnPath ? next : "/")}`;

if (asked.has("failed")) {
  const error = document.getElementById("login-error");
  error.textContent = "That token is not the right one.";
  error.hidden = false;
  document.getElementById("token").setAttribute("aria-invalid", "true");
}
