// Made by `python -m dev.client --write` from tidings/events.py: change that, not this.

/** How far the operation is. `total` and `percentage` are null while the total is unknown. */
export interface Progress {
  readonly type: "progress";
  /** None in the current state with which a stream begins. */
  readonly id?: string;
  readonly operationId: string;
  readonly operationType: string;
  readonly timestamp: string;
  readonly attempt: number;
  readonly workflowId?: string;
  readonly agentId?: string;
  readonly parentId?: string;
  readonly current: number;
  readonly total: number | null;
  readonly percentage: number | null;
  readonly message?: string;
  readonly rate?: number;
  readonly etaSeconds?: number;
  readonly etaLow?: number;
  readonly etaHigh?: number;
  readonly gaveBack?: number;
  readonly retried?: string;
}

/** The operation entered a phase. The log adds `previousStatus`: only it knows the order. */
export interface Status {
  readonly type: "status";
  /** None in the current state with which a stream begins. */
  readonly id?: string;
  readonly operationId: string;
  readonly operationType: string;
  readonly timestamp: string;
  readonly attempt: number;
  readonly workflowId?: string;
  readonly agentId?: string;
  readonly parentId?: string;
  readonly status: string;
  readonly previousStatus?: string;
  readonly details?: unknown;
  readonly durationSeconds?: number;
}

/** Something went wrong and the operation goes on. */
export interface Warning {
  readonly type: "warning";
  /** None in the current state with which a stream begins. */
  readonly id?: string;
  readonly operationId: string;
  readonly operationType: string;
  readonly timestamp: string;
  readonly attempt: number;
  readonly workflowId?: string;
  readonly agentId?: string;
  readonly parentId?: string;
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
}

/** Something failed; with `terminal` it ended the operation, nothing follows, and the log adds times. */
export interface Error {
  readonly type: "error";
  /** None in the current state with which a stream begins. */
  readonly id?: string;
  readonly operationId: string;
  readonly operationType: string;
  readonly timestamp: string;
  readonly attempt: number;
  readonly workflowId?: string;
  readonly agentId?: string;
  readonly parentId?: string;
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
  readonly retryable?: boolean;
  readonly terminal?: boolean;
  readonly durationSeconds?: number;
  readonly waitedSeconds?: number;
}

/** The operation succeeded; nothing follows. */
export interface Complete {
  readonly type: "complete";
  /** None in the current state with which a stream begins. */
  readonly id?: string;
  readonly operationId: string;
  readonly operationType: string;
  readonly timestamp: string;
  readonly attempt: number;
  readonly workflowId?: string;
  readonly agentId?: string;
  readonly parentId?: string;
  readonly result?: unknown;
  readonly durationSeconds?: number;
  readonly waitedSeconds?: number;
}

export type TaskEvent = Progress | Status | Warning | Error | Complete;
