// node:http with an RxJS Subject shared by all clients; each client's event is serialised for it.
'use strict'
const http = require('node:http')
const net = require('node:net')
const { Subject } = require('rxjs')
const { share } = require('rxjs/operators')

const entries = new Subject()
const shared = entries.pipe(share())

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.flushHeaders()
  const subscription = shared.subscribe(({ id, entry }) => {
    response.write(`event: log\nid: ${id}\ndata: ${JSON.stringify(entry)}\n\n`)
  })
  request.on('close', () => subscription.unsubscribe())
})

const feed = net.createServer((socket) => {
  let id = 0
  let rest = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    rest = rest.length ? Buffer.concat([rest, bytes]) : bytes
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const length = rest.readUInt32BE()
      entries.next({ id: ++id, entry: JSON.parse(rest.toString('utf8', 4, 4 + length)) })
      rest = rest.subarray(4 + length)
    }
  })
})

server.listen(0, '127.0.0.1', () =>
  feed.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ http: `127.0.0.1:${server.address().port}`, feed: `127.0.0.1:${feed.address().port}` })),
  ),
)
