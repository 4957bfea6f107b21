// A React hook: what is known of one operation, and of the connection that tells it.

import { useEffect, useReducer } from "react";

import { connect } from "./tidings.js";

const NOTHING = { connection: "connecting", warnings: [] };

function learn(known, [type, event]) {
  if (type === "new") return NOTHING;
  if (type === "state") return { ...known, connection: event };
  if (type === "reset") return { ...NOTHING, connection: known.connection };
  if (type === "warning") return { ...known, warnings: [...known.warnings, event].slice(-100) };
  return { ...known, [type]: event };
}

export function useOperation(operationId, { url, token, share } = {}) {
  const [known, tell] = useReducer(learn, NOTHING);
  useEffect(() => {
    tell(["new"]);
    if (!operationId) return undefined;
    const connection = connect({ url, token, share, topics: [`operations:${operationId}`] });
    connection.on("state", (state) => tell(["state", state]));
    connection.on("reset", (reset) => tell(["reset", reset]));
    connection.on("event", (event) => tell([event.type, event]));
    return () => connection.close();
  }, [operationId, url, share]); // a token callback is often made anew by each rendering: the first one stays
  return known;
}
