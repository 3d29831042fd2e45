// One connection to the service, and whether it stands.
//
// grpc-js shares connections between channels to one address by default. The service's workers share a port, and the
// kernel gives each connection to one of them: so a channel here has a connection of its own, and opening another one is
// how a stream leaves a worker that drains.

import { type ChannelOptions, Client, connectivityState, credentials, type ChannelCredentials } from "@grpc/grpc-js";
import { status as Code } from "@grpc/grpc-js";
import { unsentError } from "./errors.ts";
import { type Obstacle, obstacleTo } from "./obstacle.ts";
import { ClientTls, hostPortOf, type TlsOptions } from "./tls.ts";

export interface Target {
  /** `host:port`, or whatever else gRPC resolves. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
  /** Looks for what stands in the way of a connection that was not made. */
  readonly obstacle: (timeoutMs: number) => Promise<Obstacle | undefined>;
}

const DEFAULTS: ChannelOptions = {
  "grpc.use_local_subchannel_pool": 1,
  // Every event of a batch may fail with a message of its own; the answer then is larger than the request.
  "grpc.max_receive_message_length": -1,
  // A peer that vanished without a word is noticed.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.max_reconnect_backoff_ms": 2_000,
};

/** What finding out may take beyond the time that connecting was given. */
const OBSTACLE_TIMEOUT_MS = 2_000;

/** How a connection is secured: by TLS, or by whatever the caller made. */
export interface Security {
  readonly tls?: boolean | TlsOptions | undefined;
  readonly credentials?: ChannelCredentials | undefined;
}

/** @throws TypeError if `security` says two things at once, or what it says cannot be used. */
export function target(address: string, security: Security = {}, options: ChannelOptions = {}): Target {
  const { tls = false, credentials: own } = security;
  if (own !== undefined) {
    if (tls !== false) throw new TypeError("tls and credentials say the same twice; give one of them");
    // Nothing is known of what it does.
    return {
      address,
      credentials: own,
      options: { ...DEFAULTS, ...options },
      obstacle: () => Promise.resolve(undefined),
    };
  }
  const clientTls = tls === false ? undefined : new ClientTls(address, tls === true ? {} : tls);
  const hostPort = hostPortOf(address);
  return {
    address,
    credentials: clientTls?.credentials ?? credentials.createInsecure(),
    options: { ...DEFAULTS, ...clientTls?.channelOptions, ...options },
    obstacle: async (timeoutMs) => (hostPort === undefined ? undefined : obstacleTo(hostPort, clientTls, timeoutMs)),
  };
}

/** Opens nothing yet: the first call, or `connected`, does. */
export function dial({ address, credentials, options }: Target): Client {
  return new Client(address, credentials, options);
}

/**
 * Resolves when the connection stands.
 * @param failFast reject on the first attempt that fails, instead of trying until the time is over.
 * @throws SluiceError UNAVAILABLE (not stored, retryable) if it does not stand in time; where it is known what stands in the
 * way, that is its message, and an Obstacle its cause.
 */
export async function connected(
  client: Client,
  { address, obstacle }: Target,
  { timeoutMs, failFast = false }: { readonly timeoutMs: number; readonly failFast?: boolean },
): Promise<void> {
  const channel = client.getChannel();
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return;
    if (state === connectivityState.SHUTDOWN) throw unsentError(Code.CANCELLED, "the client is closed");
    const failed = failFast && state === connectivityState.TRANSIENT_FAILURE;
    if (failed || !(await changed(channel, state, deadline))) {
      const found = await obstacle(Math.min(timeoutMs, OBSTACLE_TIMEOUT_MS));
      const message = found === undefined ? `nothing answers at ${address}` : `${address} ${found.message}`;
      throw unsentError(Code.UNAVAILABLE, message, found);
    }
  }
}

/** False if the state is the same at the deadline. */
function changed(
  channel: ReturnType<Client["getChannel"]>,
  state: connectivityState,
  deadline: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    channel.watchConnectivityState(state, deadline, (error) => {
      resolve(error === undefined);
    });
  });
}
