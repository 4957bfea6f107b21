import type { Complete, Error, Progress, Status, TaskEvent, Warning } from "./events.js";

export * from "./events.js";

/** `degraded`: connected, but the service cannot reach its log; what happens now comes later. */
export type State = "connecting" | "live" | "reconnecting" | "degraded" | "finished";

/** What was known cannot be brought up to date exactly: forget it. `events` are the current state; each follows as an event too. */
export interface Reset {
  readonly type: "reset";
  readonly reason: "history_trimmed" | "history_lost" | "unknown_cursor";
  readonly requestedId: string;
  readonly events: readonly TaskEvent[];
}

/** Why there is no stream right now. Never about a task. */
export interface Problem {
  /** HTTP status of the answer, if there was one. */
  readonly status?: number;
  readonly message: string;
  readonly retryInMs: number;
}

export interface Handlers {
  progress: Progress;
  status: Status;
  warning: Warning;
  /** A task's error. A lost connection is a `problem`. */
  error: Error;
  complete: Complete;
  /** Any of the five. */
  event: TaskEvent;
  reset: Reset;
  state: State;
  problem: Problem;
}

export type Token = string | ((why: { refused?: 401 | 403 }) => string | Promise<string>);

export interface Options {
  /** The stream; `/api/events/stream` by default. */
  url?: string | URL;
  /** `operations:<id>`, `workflows:<id>`, `members:<id>`, `agents:<id>`, or `*` as the id; everything by default. */
  topics?: string | Iterable<string>;
  types?: string | Iterable<TaskEvent["type"]>;
  /** Sent as `Authorization: Bearer …`; a callback is asked anew when one is refused. */
  token?: Token;
  /**
   * One stream for all tabs that name the same one. By default true without a token, and false with one; with tokens
   * give a name that is the same only for those who may see the same, such as the user's id.
   */
  share?: boolean | string;
  /** Where to go on from: `lastEventId` of `/api/operations`, or `cursor` of an earlier connection. */
  cursor?: string;
  history?: "none" | "latest" | "all";
  /** The service's `TIDINGS_HEARTBEAT_S`, in milliseconds; 15,000 by default. 2.5 of it without a byte is a dead stream. */
  heartbeatMs?: number;
  credentials?: RequestCredentials;
}

export interface Connection {
  /** Returns what takes the handler away again. */
  on<Type extends keyof Handlers>(type: Type, handler: (event: Handlers[Type]) => void): () => void;
  close(): void;
  readonly state: State;
  readonly cursor: string;
}

export function connect(options?: Options): Connection;
