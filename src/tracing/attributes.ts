// The names of what spans say: OpenTelemetry's semantic conventions, and ours where they have none.
//
// Written down here, as the package of the conventions asks for those that are not stable: loading all of them would cost each
// worker more memory than all else of OpenTelemetry. test/tracing/attributes.test.ts compares them with the package. Those of
// messaging are not stable, and some are about to be renamed: these are the names that backends look for today.

export const ATTRIBUTE = {
  ERROR_TYPE: "error.type",
  NETWORK_PEER_ADDRESS: "network.peer.address",
  NETWORK_PEER_PORT: "network.peer.port",
  SERVER_ADDRESS: "server.address",
  SERVER_PORT: "server.port",
  RPC_SYSTEM_NAME: "rpc.system.name",
  /** The service and the method, `sluice.v1.EventIngest/Publish`. */
  RPC_METHOD: "rpc.method",
  /** The name of the code, `OK`. */
  RPC_STATUS_CODE: "rpc.status_code",
  MESSAGING_SYSTEM: "messaging.system",
  MESSAGING_OPERATION_NAME: "messaging.operation.name",
  MESSAGING_OPERATION_TYPE: "messaging.operation.type",
  MESSAGING_DESTINATION_NAME: "messaging.destination.name",
  MESSAGING_DESTINATION_PARTITION_ID: "messaging.destination.partition.id",
  MESSAGING_BATCH_MESSAGE_COUNT: "messaging.batch.message_count",
  MESSAGING_KAFKA_OFFSET: "messaging.kafka.offset",
} as const;

export const OWN_ATTRIBUTE = {
  EVENTS_STORED: "sluice.events.stored",
  EVENTS_FAILED: "sluice.events.failed",
  /** Bytes of a record batch, with its header. */
  RECORD_BATCH_BYTES: "sluice.record_batch.bytes",
  /** Record batches of a request that have no spans of their own, because it has so many. */
  RECORD_BATCHES_LEFT_OUT: "sluice.record_batches.left_out",
  WORKER: "sluice.worker",
} as const;
