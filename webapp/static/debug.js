// The operator's page: who waits for what, any topic live, an operation once more.

import { showReplay } from "./replay.js";
import { showStreams } from "./streams.js";
import { showTail } from "./tail.js";

const byId = (id) => document.getElementById(id);

showStreams(byId("streams"));
showTail(byId("tail"));
showReplay(byId("replay"));
