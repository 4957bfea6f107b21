// tidings: live progress of operations. `connect` is all there is; see README.md and tidings.d.ts.

import { watchPage } from "./page.js";
import { Subscription } from "./subscription.js";
import { address, Wire } from "./wire.js";

const list = (value) => (typeof value === "string" ? value.split(",") : [...(value ?? [])]).filter(Boolean);

export function connect({
  url = "/api/events/stream", topics, types, token, share = !token, cursor = "", history,
  heartbeatMs = 15_000, credentials = token ? "omit" : "same-origin",
} = {}) {
  const subscription = new Subscription({ topics: list(topics), types: list(types), cursor });
  const stream = { url: new URL(url, globalThis.location?.href).href, token, heartbeatMs, credentials };
  const problem = (what) => subscription.tell("problem", what);
  const shares = share && globalThis.navigator?.locks && globalThis.BroadcastChannel && globalThis.document;
  const tabs = shares ? import("./tabs.js") : undefined;
  let wire;
  let hub;

  // A stream of one's own: for good, or until the state is known and the tabs' common stream can take over.
  function alone() {
    wire = new Wire({
      ...stream,
      url: (from) => address(stream.url, subscription, from, history),
      cursor: () => subscription.cursor,
      opens: () => subscription.opens(),
      hears(message) {
        subscription.hears(message);
        if (message.type === "heartbeat" && message.id) tabs?.then(join, () => {}); // without them: alone
      },
      state: (state) => subscription.becomes(state),
      ready: () => subscription.ready(),
      problem,
    });
  }

  function join({ hubOf }) {
    if (!wire) return;
    wire.stop();
    wire = undefined;
    hub = hubOf(share === true ? "" : share, stream);
    hub.add(subscription);
  }

  function leave() {
    wire?.stop();
    wire = undefined;
    hub?.remove(subscription);
    hub = undefined;
  }

  const unwatch = watchPage({
    wake: (surely) => wire?.wake(surely),
    hide: () => wire?.stop(),
    show: () => wire && alone(),
  });

  function close() {
    unwatch();
    leave();
    subscription.becomes("finished");
  }

  subscription.on("state", (state) => state === "finished" && close());
  alone();
  return {
    on: (type, handler) => subscription.on(type, handler),
    close,
    get state() { return subscription.state; },
    get cursor() { return subscription.cursor; },
  };
}
