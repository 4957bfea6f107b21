// One of the clients that uploads are made with: npm's `tus-js-client`.
//
//   node tus.mjs FILE ENDPOINT URL OPTIONS
//
// Uploads FILE to ENDPOINT, or goes on with URL if that is not empty. OPTIONS (JSON) are the package's own, and
// `sayAfter`: once so many bytes were accepted it prints `reached`. Prints the upload's URL as its first line.
// Ends with status 0 when all has been accepted, else with 1 and the reason.

import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const [path, endpoint, url, said] = process.argv.slice(2)
const { sayAfter = Infinity, ...options } = JSON.parse(said)
let hasSaid = false

const upload = new Upload(createReadStream(path), {
  endpoint,
  uploadUrl: url || null,
  uploadSize: statSync(path).size,
  retryDelays: Array(40).fill(250),
  ...options,
  onUploadUrlAvailable: () => console.log(upload.url),
  onChunkComplete: (_, accepted) => {
    if (accepted < sayAfter || hasSaid) return
    hasSaid = true
    console.log('reached')
  },
  onError: (error) => {
    console.error(String(error))
    process.exitCode = 1
  },
})
upload.start()
