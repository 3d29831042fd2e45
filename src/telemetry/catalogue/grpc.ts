// The gRPC port: connections, streams, calls, callers.

import { type Define, PER_WORKER } from "./define.ts";

/** What the gRPC server tells of itself. */
export function grpcFamilies(define: Define) {
  return {
    grpcStreams: define.gauge("sluice_grpc_streams", "Open PublishStream calls.", PER_WORKER),
    grpcCalls: define.counter(
      "sluice_grpc_calls_total",
      "gRPC calls ended, by method (those of methods that are not served are unknown) and code.",
      {
        labels: ["method", "code"],
      },
    ),
    grpcConnections: define.gauge("sluice_grpc_connections", "Open gRPC connections.", PER_WORKER),
    grpcConnectionsLimit: define.gauge(
      "sluice_grpc_connections_limit",
      "Connections a worker takes at a time (GRPC_CONNECTIONS_MAX).",
      PER_WORKER,
    ),
    grpcConnectionsOpened: define.counter("sluice_grpc_connections_opened_total", "gRPC connections accepted."),
    grpcConnectionsClosed: define.counter("sluice_grpc_connections_closed_total", "gRPC connections ended, by why.", {
      labels: ["reason"],
    }),
    grpcConnectionAge: define.time("sluice_grpc_connection_age_seconds", "Age of gRPC connections when they ended."),
    grpcHttp2Streams: define.gauge(
      "sluice_grpc_http2_streams",
      "Open HTTP/2 streams: one for each gRPC call.",
      PER_WORKER,
    ),
    grpcConnectionStreamsMax: define.readGauge(
      "sluice_grpc_connection_streams_max",
      "Open HTTP/2 streams of the connection that has the most.",
      PER_WORKER,
    ),
    grpcConnectionStreamsLimit: define.gauge(
      "sluice_grpc_connection_streams_limit",
      "The most that a connection may have (GRPC_STREAMS_MAX).",
      PER_WORKER,
    ),
    grpcStreamAge: define.time("sluice_grpc_stream_age_seconds", "Age of HTTP/2 streams when they ended."),
    grpcReceivedBytes: define.counter("sluice_grpc_received_bytes_total", "Bytes received on gRPC connections."),
    grpcSentBytes: define.counter("sluice_grpc_sent_bytes_total", "Bytes sent on gRPC connections."),
    grpcWindowStalls: define.counter(
      "sluice_grpc_window_stalls_total",
      "Times an answer had to wait because its client's flow-control window was used up.",
    ),
    grpcResets: define.counter("sluice_grpc_resets_total", "RST_STREAM frames, by direction and error code.", {
      labels: ["direction", "code"],
    }),
    grpcGoaways: define.counter("sluice_grpc_goaways_total", "GOAWAY frames, by direction and error code.", {
      labels: ["direction", "code"],
    }),
    grpcAttacks: define.counter(
      "sluice_grpc_attacks_total",
      "Times a client went over a limit of the transport, by which.",
      {
        labels: ["attack"],
      },
    ),
    grpcHandshakeFailures: define.counter(
      "sluice_grpc_handshake_failures_total",
      "TLS handshakes that failed, by why.",
      {
        labels: ["reason"],
      },
    ),
    grpcCertificateExpiry: define.gauge(
      "sluice_grpc_certificate_expiry_timestamp_seconds",
      "When the certificate in use, or the first of its chain, expires, in seconds since the epoch; only with GRPC_TLS_CERT_FILE.",
      PER_WORKER,
    ),
    grpcReceiveBufferBytes: define.gauge(
      "sluice_grpc_receive_buffer_bytes",
      "Memory taken by request messages that are incomplete, or that wait because their call is paused.",
      PER_WORKER,
    ),
    grpcReceiveBufferBytesLimit: define.gauge(
      "sluice_grpc_receive_buffer_bytes_limit",
      "The most that may be taken so (GRPC_RECEIVE_BYTES_MAX).",
      PER_WORKER,
    ),

    // Callers, by the name that their certificate shows, or else by their address.
    grpcCallerRequests: define.counter("sluice_grpc_caller_requests_total", "Batches received, by caller.", {
      labels: ["caller"],
    }),
    grpcCallerEvents: define.counter(
      "sluice_grpc_caller_events_total",
      "Events of batches that were admitted, by caller.",
      {
        labels: ["caller"],
      },
    ),
    grpcCallerConnections: define.gauge("sluice_grpc_caller_connections", "Open gRPC connections, by caller.", {
      labels: ["caller"],
    }),
  };
}
