// @grpc/grpc-js with @grpc/proto-loader: an ACK for each entry, nothing else.
'use strict'
const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const { loadSync } = require('@grpc/proto-loader')

const root = path.join(__dirname, '../../proto')
const definition = loadSync('ottoscaler/v1/log_handler.proto', { includeDirs: [root], keepCase: false })
const { OttoHandlerLogService } = grpc.loadPackageDefinition(definition).ottoscaler.v1

function forwardWorkerLogs(call) {
  let sequence = 0
  call.on('data', () => call.write({ status: 'ACK', sequence: ++sequence }))
  call.on('end', () => call.end())
  call.on('error', () => {})
}

const server = new grpc.Server()
server.addService(OttoHandlerLogService.service, {
  forwardWorkerLogs,
  notifyWorkerStatus: (_call, reply) => reply(null, {}),
})
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error
  console.log(JSON.stringify({ grpc: `127.0.0.1:${port}` }))
})
