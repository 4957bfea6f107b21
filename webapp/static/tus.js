// One file on its way in, by tus 1.0: created, sent in chunks, paused, and gone on with from where the service says
// it is. What may pass is tried again for ever, with growing pauses; what will not ends it with the reason.

const VERSION = { "Tus-Resumable": "1.0.0" };
const CHUNK_BYTES = 8 * 2 ** 20;
const SHORTEST_MS = 500;
const LONGEST_MS = 15_000;
const FULL = 507;
const MAY_PASS = new Set([408, 409, 423, 425, 429, 460]);
const IS_GONE = new Set([404, 410]);

class Trouble extends Error {
  constructor(message, { passes = false, status, field, most } = {}) {
    super(message);
    Object.assign(this, { passes, status, field, most });
  }
}

export class Sender {
  state = "waiting"; // sending, retrying, paused, whole, failed
  offset; // what the service has said it has on disk; undefined: it is to be asked
  trouble; // why it is retrying or has failed
  #stop;

  // `metadata` gives what is said of the file when it is created; `url` is where an earlier page has begun to send it;
  // `changed` hears of every step.
  constructor(file, {
    endpoint = "/api/uploads", metadata = () => ({}), url, changed = () => {}, chunkBytes = CHUNK_BYTES,
    fetch = (...request) => globalThis.fetch(...request), wait = pass,
  } = {}) {
    Object.assign(this, { file, endpoint, metadata, url, changed, chunkBytes, fetch, wait, isOld: Boolean(url) });
  }

  // Sends until all is there, it is paused, or it can not go on.
  async run() {
    const { signal } = (this.#stop = new AbortController());
    let failures = 0;
    this.#become("sending");
    while (!signal.aborted) {
      try {
        if (!this.url) await this.#create();
        else this.offset ??= await this.#ask("HEAD", this.url, { signal });
        while (!signal.aborted && this.offset < this.file.size) {
          await this.#send(signal);
          failures = 0;
        }
        if (!signal.aborted) return this.#become("whole");
      } catch (trouble) {
        if (signal.aborted) break;
        this.offset = undefined;
        if (this.isOld && IS_GONE.has(trouble.status)) this.#startOver();
        else if (!trouble.passes) return this.#fail(trouble);
        else {
          this.#become("retrying", trouble);
          await this.wait(Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures++) * (0.5 + Math.random() / 2), signal);
          if (!signal.aborted) this.#become("sending");
        }
      }
    }
    return this.#become("paused");
  }

  pause() {
    this.offset = undefined; // more may have come than was answered
    this.#stop?.abort();
    if (this.state === "waiting") this.#become("paused");
  }

  // Have the service forget it. Raises what it says against it.
  async cancel() {
    this.pause();
    await this.#created;
    if (this.url) await this.#ask("DELETE", this.url).catch((trouble) => { if (!IS_GONE.has(trouble.status)) throw trouble; });
  }

  get isGone() { return IS_GONE.has(this.trouble?.status); }

  #created;

  // Not aborted by a pause: whoever creates it must know its place.
  async #create() {
    const said = Object.entries(this.metadata()).map(([key, value]) => `${key} ${base64(value)}`);
    const headers = { "Upload-Length": String(this.file.size), "Upload-Metadata": said.join(",") };
    const asked = this.#ask("POST", this.endpoint, { headers });
    this.#created = asked.catch(() => {});
    this.offset = await asked;
    this.#tell();
  }

  async #send(signal) {
    const { offset } = this;
    const headers = { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    const body = this.file.slice(offset, offset + this.chunkBytes);
    this.offset = await this.#ask("PATCH", this.url, { headers, body, signal });
    this.#tell();
  }

  // Gives the offset that the answer has.
  async #ask(method, url, { headers, ...others } = {}) {
    let answer;
    try {
      answer = await this.fetch(url, { method, headers: { ...VERSION, ...headers }, ...others });
    } catch (error) {
      if (!others.signal?.aborted && others.body) await this.#check();
      throw new Trouble("The service cannot be reached.", { passes: true });
    }
    if (!answer.ok) throw await refusal(answer);
    if (method === "POST") this.url = answer.headers.get("Location");
    return Number(answer.headers.get("Upload-Offset"));
  }

  // A file that was changed or taken away looks like a network that fails.
  async #check() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Trouble("The file cannot be read any more: it was changed or moved. Choose it again.");
    }
  }

  // Of what is gone another one can be begun.
  #fail(trouble) {
    this.isOld = IS_GONE.has(trouble.status);
    this.#become("failed", trouble);
  }

  #startOver() {
    this.isOld = false;
    this.url = undefined;
  }

  #become(state, trouble) {
    Object.assign(this, { state, trouble });
    this.#tell();
  }

  #tell() {
    this.changed(this);
  }
}

async function refusal(answer) {
  const { status } = answer;
  const { detail, field } = await answer.json().catch(() => ({}));
  const text = IS_GONE.has(status) ? "The service has it no more." : detail ?? `The service answers ${status}.`;
  const most = answer.headers.get("Tus-Max-Size");
  return new Trouble(text, { status, field, most: most && Number(most), passes: MAY_PASS.has(status) || (status >= 500 && status !== FULL) });
}

export function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

// Waits so long, or until there is a network again, or it is to stop.
function pass(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", end);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, ms);
    globalThis.addEventListener?.("online", end);
    signal.addEventListener("abort", end);
  });
}
