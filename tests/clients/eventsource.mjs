// One of the clients that our streams are read with: npm's `eventsource`, an EventSource for Node.
//
//   node eventsource.mjs URL STOP_TYPE TYPE...
//
// Prints {"type", "data", "last_event_id"} as one line of JSON per event of the given types, as the package has
// them: tests/clients/readers.py knows its deviations, nothing is put right here. Reconnects like any EventSource.
// Ends with status 0 after an event of STOP_TYPE or on SIGTERM, with 1 when the server's answer forbids a reconnect.

import { EventSource } from 'eventsource'

const [url, stopType, ...types] = process.argv.slice(2)
const source = new EventSource(url)
let over = false

function stop() {
  over = true
  source.close()
}

function print(event) {
  // A server event named `error` arrives where the connection's own errors do; only the server's has data.
  // After close() the package still delivers the events of the chunk that it is reading.
  if (over || event.data === undefined) return
  const { type, data, lastEventId } = event
  const line = JSON.stringify({ type, data, last_event_id: lastEventId })
  process.stdout.write(`${line}\n`)
  if (type === stopType) stop()
}

for (const type of new Set([...types, stopType])) source.addEventListener(type, print)

source.addEventListener('error', (event) => {
  if (event.data !== undefined || source.readyState !== source.CLOSED) return
  console.error(`${url}: ${event.message}`)
  process.exitCode = 1
})

process.once('SIGTERM', stop)
