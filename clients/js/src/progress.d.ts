import type { Token } from "./tidings.js";

/** `<tidings-progress operation="…" url="…" label="…">`; dispatches `tidings-progress`, `tidings-complete` …, with the event as `detail`. */
export class TidingsProgress extends HTMLElement {
  token?: Token;
}

declare global {
  interface HTMLElementTagNameMap {
    "tidings-progress": TidingsProgress;
  }
}
