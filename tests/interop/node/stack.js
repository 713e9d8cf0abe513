// What both programs use of the gRPC packages.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import protoLoader from '@grpc/proto-loader';

export const grpc = createRequire(import.meta.url)('@grpc/grpc-js');

/** A folder or file of an installed package. */
export const modulePath = (path) => new URL(`node_modules/${path}`, import.meta.url).pathname;

export const version = (name) => JSON.parse(readFileSync(modulePath(`${name}/package.json`))).version;

/** Loads a .proto file at run time, as the original handler did. */
export function load(file, folder) {
  const options = { enums: String, longs: String, defaults: true, includeDirs: [folder] };
  return grpc.loadPackageDefinition(protoLoader.loadSync(file, options));
}
