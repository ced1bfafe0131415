// Greying out: numbers lose their colour from warn on, and are hatched once they are old.
// freshness.js judges how old they are, grey_out.css draws it.

/** level: fresh, warn or old. */
export function greyOut(level) {
  document.body.dataset.freshness = level;
}
