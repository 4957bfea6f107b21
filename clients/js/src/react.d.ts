import type { Complete, Error, Options, Progress, State, Status, Warning } from "./tidings.js";

export interface Known {
  readonly connection: State;
  readonly progress?: Progress;
  readonly status?: Status;
  /** The latest hundred. */
  readonly warnings: readonly Warning[];
  readonly error?: Error;
  readonly complete?: Complete;
}

/** Follows one operation while the component is there; none while the id is empty. */
export function useOperation(
  operationId: string | null | undefined,
  options?: Pick<Options, "url" | "token" | "share">,
): Known;
