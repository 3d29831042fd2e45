// Which versions of which APIs a double says it speaks, so that it can look like an old broker or a new one.

export const Api = {
  Produce: 0,
  Metadata: 3,
  ApiVersions: 18,
  CreateTopics: 19,
  InitProducerId: 22,
  DescribeConfigs: 32,
} as const;
export type ApiName = keyof typeof Api;

export type VersionRanges = Readonly<Record<ApiName, readonly [min: number, max: number]>>;

/** The first flexible version of each API (KIP-482); a request of it has a header with tags. */
export const FLEXIBLE_SINCE: Readonly<Record<ApiName, number>> = {
  Produce: 9,
  Metadata: 9,
  ApiVersions: 3,
  CreateTopics: 5,
  InitProducerId: 2,
  DescribeConfigs: 4,
};

/** What the double can really parse and answer; a request outside of it ends the connection. */
export const SPOKEN: VersionRanges = {
  Produce: [3, 12],
  Metadata: [1, 12],
  ApiVersions: [0, 4],
  CreateTopics: [2, 7],
  InitProducerId: [0, 5],
  DescribeConfigs: [1, 4],
};

/** What brokers of these releases advertise, cut to what the double speaks where theirs goes further. */
export const PROFILES = {
  "2.8": {
    Produce: [0, 9],
    Metadata: [0, 11],
    ApiVersions: [0, 3],
    CreateTopics: [0, 7],
    InitProducerId: [0, 4],
    DescribeConfigs: [0, 4],
  },
  "4.1": {
    Produce: [0, 12],
    Metadata: [0, 12],
    ApiVersions: [0, 4],
    CreateTopics: [2, 7],
    InitProducerId: [0, 5],
    DescribeConfigs: [1, 4],
  },
} as const satisfies Record<string, VersionRanges>;
export type Profile = keyof typeof PROFILES;

const NAMES = new Map<number, ApiName>(Object.entries(Api).map(([name, key]) => [key, name as ApiName]));

export function apiName(key: number): ApiName | undefined {
  return NAMES.get(key);
}

/** The protocol's error codes that the double answers by itself. */
export const ErrorCode = {
  NONE: 0,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  MESSAGE_TOO_LARGE: 10,
  INVALID_TOPIC_EXCEPTION: 17,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_RECORD: 87,
} as const;
