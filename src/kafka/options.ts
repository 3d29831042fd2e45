// What every producer behind the port is told about the cluster, whichever client it is made of.

export interface TlsOptions {
  /** PEM; undefined: the system's authorities. */
  readonly ca: string | undefined;
}

export interface SaslOptions {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly username: string;
  readonly password: string;
}

export interface KafkaOptions {
  /** Where to begin; any one of them that answers is enough. */
  readonly bootstrap: readonly { readonly host: string; readonly port: number }[];
  readonly clientId: string;
  /** How long a connection may take until it can be used, TLS and SASL included. */
  readonly connectTimeoutMs: number;
  /** How long a broker may take to answer. */
  readonly requestTimeoutMs: number;
  /** How old the knowledge of topics and leaders may get. */
  readonly metadataMaxAgeMs: number;
  readonly autoCreateTopics: boolean;
  readonly tls: TlsOptions | undefined;
  readonly sasl: SaslOptions | undefined;
}
