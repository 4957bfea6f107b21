// What TypeScript is to accept of the client's types, and, behind @ts-expect-error, what not. Never run.

import { connect, type Progress, type State } from "tidings-client";
import { TidingsProgress } from "tidings-client/progress";
import { useOperation } from "tidings-client/react";

const connection = connect({ topics: ["operations:a"], types: ["progress"], token: async ({ refused }) => `${refused}` });
const state: State = connection.state;
const stop: () => void = connection.on("progress", (event) => {
  const percentage: number | null = event.percentage;
  const whole: Progress = event;
  // @ts-expect-error: an event is not to be changed
  event.current = percentage ?? whole.current;
});
connection.on("event", (event) => {
  if (event.type === "error") event.terminal satisfies boolean | undefined;
  // @ts-expect-error: only progress has a total
  event.total;
});
connection.on("problem", ({ retryInMs }) => retryInMs.toFixed());
// @ts-expect-error: nothing is ever said of that name
connection.on("message", () => {});
// @ts-expect-error: there is no such type
connect({ types: ["done"] });

const known = useOperation("a", { share: false });
known.progress?.etaSeconds?.toFixed();
const element: TidingsProgress = document.createElement("tidings-progress");
export { element, state, stop };
